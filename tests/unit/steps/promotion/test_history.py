"""Serving periods, and the tables that show them."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.table import Table

from pipeline.adapters.pointer_store import Pointer, PromotionRefusal
from pipeline.steps.promotion.history import duration, refusal_table, serving_periods, table

START = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
FIELDS = {"name": "cells", "served": "s", "evaluation": "e", "verdict": "v"}


def move(sequence: int, version: str, hours: float, **decision: str) -> Pointer:
    default = {"author": "gate", "reason": "the gate passed", "run_id": f"run {sequence}"}
    time = START + timedelta(hours=hours)
    position = {"sequence": sequence, "tag": f"cells:{version}", "time": time}
    return Pointer.model_validate({**FIELDS, **position, **default, **decision})


MOVES = [
    move(1, "aaa", 0),
    move(2, "bbb", 30),
    move(3, "aaa", 31.5, kind="rollback", author="ada", reason="misreads [eosinophils]"),
]
NOW = START + timedelta(hours=31.5, seconds=42)


def printed(shown: Table) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80).print(shown)
    return out.getvalue().splitlines()


def test_a_model_served_until_the_next_move() -> None:
    """Each period has its predecessor, start, end and duration."""
    first, second, last = serving_periods(MOVES, NOW)
    assert [(p.from_tag, p.tag) for p in (first, second, last)] == [
        ("", "cells:aaa"),
        ("cells:aaa", "cells:bbb"),
        ("cells:bbb", "cells:aaa"),
    ]
    assert (first.since, first.until, first.seconds) == (START, MOVES[1].time, 30 * 3600)
    assert (last.until, last.seconds) == (None, 42)
    assert (last.kind, last.author, last.run_id) == ("rollback", "ada", "run 3")


def test_no_duration_is_negative() -> None:
    """The clocks of two machines may differ; the order of the ledger counts."""
    assert serving_periods([move(1, "aaa", 1), move(2, "bbb", 0)], NOW)[0].seconds == 0
    assert serving_periods([], NOW) == []


def test_the_table_has_author_and_reason() -> None:
    """Newest first, within 80 columns; brackets in a reason are no markup."""
    lines = [
        " ".join(line.split()) for line in printed(table("cells", serving_periods(MOVES, NOW)))
    ]
    assert lines[4:10] == [
        "3 2026-11-02 17:00 42 s aaa rolled back by ada: misreads",
        "serving now after bbb [eosinophils]",
        "run 3",
        "2 2026-11-02 15:30 1 h 30 min bbb promoted by gate: the gate",
        "after aaa passed",
        "run 2",
    ]
    assert lines[10].startswith("1 2026-11-01 09:30 1 d 6 h aaa promoted by gate")


def test_the_table_of_refusals_has_the_reasons() -> None:
    """It shows models that never served."""
    refusal = PromotionRefusal(
        verdict="v",
        tag="cells:ccc",
        author="approval timeout",
        reason="no reason given",
        run_id="run 4",
        time=START,
    )
    text = " ".join(" ".join(printed(refusal_table([refusal]))).split())
    assert "2026-11-01 09:30 ccc approval timeout: no reason given run 4" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (5400, "1 h 30 min"), (266_400, "3 d 2 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    """Seconds alone below a minute."""
    assert duration(seconds) == words
