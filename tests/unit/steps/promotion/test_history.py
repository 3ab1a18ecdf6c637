"""What served when, as figures and as a table."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from rich.table import Table

from pipeline.adapters.registry import Pointer, PromotionRefusal
from pipeline.steps.promotion.history import duration, refusal_table, serving_periods, table

START = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
FIELDS = {"name": "cells", "served": "s", "evaluation": "e", "verdict": "v"}


def move(sequence: int, version: str, hours: float, **said: str) -> Pointer:
    given = {"author": "gate", "reason": "the gate passed", "run_id": f"run {sequence}", **said}
    time = START + timedelta(hours=hours)
    where = {"sequence": sequence, "tag": f"cells:{version}", "time": time}
    return Pointer.model_validate({**FIELDS, **where, **given})


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
    """Each period names whom it replaced, when it began and ended, and how long it was."""
    first, second, last = serving_periods(MOVES, NOW)
    assert [(r.from_tag, r.tag) for r in (first, second, last)] == [
        ("", "cells:aaa"),
        ("cells:aaa", "cells:bbb"),
        ("cells:bbb", "cells:aaa"),
    ]
    assert (first.since, first.until, first.seconds) == (START, MOVES[1].time, 30 * 3600)
    assert (last.until, last.seconds) == (None, 42)
    assert (last.kind, last.author, last.run_id) == ("rollback", "ada", "run 3")


def test_no_reign_is_shorter_than_nothing() -> None:
    """Two machines' clocks may disagree; the ledger's order does not."""
    assert serving_periods([move(1, "aaa", 1), move(2, "bbb", 0)], NOW)[0].seconds == 0
    assert serving_periods([], NOW) == []


def test_the_table_says_who_moved_what_and_why() -> None:
    """Newest first, whole on 80 columns; a reason is text, whatever brackets it has."""
    lines = [
        " ".join(line.split()) for line in printed(table("cells", serving_periods(MOVES, NOW)))
    ]
    assert lines[4:10] == [
        "3 2026-11-02 17:00 42 s aaa rolled back by ada: misreads",
        "and serves after bbb [eosinophils]",
        "run 3",
        "2 2026-11-02 15:30 1 h 30 min bbb promoted by gate: the gate",
        "after aaa passed",
        "run 2",
    ]
    assert lines[10].startswith("1 2026-11-01 09:30 1 d 6 h aaa promoted by gate")


def test_refusals_are_told_with_their_reason() -> None:
    """Who looks for a model that never served finds why."""
    refusal = PromotionRefusal(
        verdict="v",
        tag="cells:ccc",
        author="nobody in time",
        reason="no reason given",
        run_id="run 4",
        time=START,
    )
    text = " ".join(" ".join(printed(refusal_table([refusal]))).split())
    assert "2026-11-01 09:30 ccc nobody in time: no reason given run 4" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (5400, "1 h 30 min"), (266_400, "3 d 2 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    """As a person would say it."""
    assert duration(seconds) == words
