"""Renderings of a verdict: page, Markdown table and log lines."""

from datetime import UTC, datetime

from pipeline.adapters.pointer_store import Pointer
from pipeline.statistics.intervals import Interval
from pipeline.statistics.paired_comparison import Difference
from pipeline.steps.promotion.eligible_cells import EligibleCells
from pipeline.steps.promotion.verdict import Check, Criterion, GateVerdict, at_least, at_most
from pipeline.steps.promotion.verdict_page import headline, log_lines, markdown, page

CHAMPION = Pointer(
    sequence=1,
    name="cells",
    tag="cells:1",
    served="",
    evaluation="",
    verdict="",
    author="test",
    reason="a test",
    time=datetime(2026, 11, 1, tzinfo=UTC),
)
FLOOR = Criterion("floors", "balanced accuracy", at_least(0.6)).check(
    Interval(value=0.8, low=0.7, high=0.9), "Good."
)
LOSS = Criterion("champion", "sensitivity A", at_least(-0.25, "resampled low"), "difference").check(
    Difference(value=0.01, low=-0.5, high=0.1, resampled_low=-0.3, cells=9, differing=2),
    "Loses too much.",
)
LATENCY = Criterion("serving", "latency", at_most(500), "ms").check(23.44, "Fast.")


def verdict(champion: Pointer | None = None, *checks: Check) -> GateVerdict:
    checks = checks or (LOSS, FLOOR, LATENCY)
    return GateVerdict(
        name="cells",
        tag="cells:2",
        champion=champion,
        passed=all(check.passed for check in checks),
        evidence=EligibleCells(images=1234, fair={"A": 3}, leaked=(), spent={"A": 0}),
        checks=checks,
    )


def test_the_markdown_table_has_every_check() -> None:
    """With value, interval, limit, result and sentence."""
    lines = markdown(verdict(CHAMPION)).splitlines()
    assert lines[0].startswith("**Refused**: `cells:2` against `cells:1`. 1 of 3 checks failed")
    assert "| balanced accuracy | 0.800 | 0.700 to 0.900 | ≥ 0.600 | pass | Good. |" in lines
    assert "| latency | 23.4 ms |  | ≤ 500.0 ms | pass | Fast. |" in lines
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_the_limit_shows_the_figure_that_decides() -> None:
    """The lower bound of the bootstrap over groups is compared with the margin."""
    rule = "resampled lower bound -0.300 ≥ -0.250"
    assert f"| +0.010 | -0.500 to +0.100 | {rule} | **FAIL** |" in markdown(verdict())
    assert rule in page(verdict())
    assert rule in "\n".join(log_lines(verdict()))


def test_a_verdict_of_an_earlier_version_is_still_shown() -> None:
    """The lower bound of its interval decided."""
    old = LOSS.model_dump() | {"figure": "low", "low": -0.3}
    del old["resampled_low"]
    shown = markdown(verdict(None, Check.model_validate(old)))
    assert "| +0.010 | -0.300 to +0.100 | lower bound ≥ -0.250 | **FAIL** |" in shown


def test_an_error_text_cannot_break_the_table() -> None:
    """A bar in an error text of the service adds no column."""
    broken = LATENCY.model_copy(update={"sentence": "a | b"})
    assert markdown(verdict(None, broken)).splitlines()[-1].endswith("| a / b |")


def test_the_log_ends_with_the_failed_checks() -> None:
    """One line per check, in columns, before them."""
    lines = log_lines(verdict(CHAMPION))
    assert lines[0] == "Refused: cells:2 against cells:1"
    assert len({line.index("0.") for line in lines[2:3]}) == 1
    assert lines[-2:] == ["1 of 3 checks failed: sensitivity A.", "Loses too much."]


def test_the_headline_of_a_passed_verdict() -> None:
    """It has the number of checks."""
    assert headline(verdict(None, FLOOR, LATENCY)) == "All 2 checks passed."


def test_a_first_model_is_marked() -> None:
    """In the table, in the log and on the page."""
    assert "as the first model" in markdown(verdict())
    assert "as the first model" in log_lines(verdict())[0]
    assert "Rule for a first model" in page(verdict())


def test_the_page_shows_every_check() -> None:
    """With value, interval, limit and sentence; the page is self-contained."""
    shown = page(verdict(CHAMPION))
    assert "Not promoted" in shown
    assert "0.700 to 0.900" in shown
    assert "champion since 01 Nov 2026" in shown
    assert "1,234 images" in shown
    assert shown.count('<div class="check') == 3
    assert shown.count('<div class="check fail') == 1
    assert "http" not in shown


def test_zero_is_the_middle_of_a_difference() -> None:
    """A gain is drawn to the right, a loss to the left."""
    assert '<i class="zero" style="left: 50.0%"></i>' in page(verdict(CHAMPION))


def test_the_page_escapes_error_texts() -> None:
    """They may have markup."""
    hostile = LATENCY.model_copy(update={"sentence": "<script>alert(1)</script>"})
    shown = page(verdict(None, hostile))
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_a_verdict_without_evidence_is_still_shown() -> None:
    """Verdicts of earlier versions have no counts of cells."""
    assert "images</b>" not in page(verdict().model_copy(update={"evidence": None}))


def test_a_challenger_that_already_serves_is_unchanged() -> None:
    """On the page, in the table and in the log; a failed check still refuses it."""
    same = CHAMPION.model_copy(update={"tag": "cells:2"})
    unchanged = verdict(same, FLOOR)
    sentence = "The challenger is the champion (same bundle): nothing to promote or deploy."
    assert markdown(unchanged).startswith(f"**Unchanged**: `cells:2` (already serving). {sentence}")
    shown = page(unchanged)
    assert "<h1>Unchanged</h1>" in shown
    assert 'class="badge plain">unchanged</span>' in shown
    assert sentence in shown
    assert log_lines(unchanged)[0] == "Unchanged: cells:2 (already serving)"
    assert "<h1>Not promoted</h1>" in page(verdict(same))
