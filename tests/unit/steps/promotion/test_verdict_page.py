"""How a verdict is shown: on the page, in the form, in the log."""

from datetime import UTC, datetime

from pipeline.adapters.registry import Pointer
from pipeline.statistics.metrics import Interval
from pipeline.steps.promotion.eligible_cells import EligibleCells
from pipeline.steps.promotion.verdict import Check, GateVerdict, at_least, at_most, judge
from pipeline.steps.promotion.verdict_page import headline, markdown, page, plain

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
FLOOR = judge(
    "floors", "balanced accuracy", Interval(value=0.8, low=0.7, high=0.9), at_least(0.6), "Good."
)
LOSS = judge(
    "champion",
    "sensitivity A",
    Interval(value=0.01, low=-0.5, high=0.1),
    at_least(-0.25, "resampled low"),
    "Loses too much.",
    "difference",
    resampled_low=-0.3,
)
LATENCY = judge("serving", "latency", 23.44, at_most(500), "Fast.", "ms")


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


def test_the_form_shows_every_check_in_a_table() -> None:
    """Who approves sees what failed, with its interval, its limit and the sentence."""
    lines = markdown(verdict(CHAMPION)).splitlines()
    assert lines[0].startswith("**Refused**: `cells:2` against `cells:1`. 1 of 3 checks failed")
    assert "| balanced accuracy | 0.800 | 0.700 to 0.900 | ≥ 0.600 | pass | Good. |" in lines
    assert "| latency | 23.4 ms |  | ≤ 500.0 ms | pass | Fast. |" in lines
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_the_rule_names_the_figure_it_judges() -> None:
    """The low end over resampled cells is held against a margin, and stands beside it."""
    rule = "resampled low end -0.300 ≥ -0.250"
    assert f"| +0.010 | -0.500 to +0.100 | {rule} | **FAIL** |" in markdown(verdict())
    assert rule in page(verdict())
    assert rule in "\n".join(plain(verdict()))


def test_a_verdict_of_an_earlier_version_is_still_shown() -> None:
    """It was decided on the low end of the interval, and says so."""
    old = LOSS.model_dump() | {"figure": "low", "low": -0.3}
    del old["resampled_low"]
    shown = markdown(verdict(None, Check.model_validate(old)))
    assert "| +0.010 | -0.300 to +0.100 | low end ≥ -0.250 | **FAIL** |" in shown


def test_an_error_text_cannot_break_the_table() -> None:
    """A bar in what the service said is no new column."""
    broken = LATENCY.model_copy(update={"sentence": "a | b"})
    assert markdown(verdict(None, broken)).splitlines()[-1].endswith("| a / b |")


def test_the_log_is_a_table_that_ends_with_the_reasons() -> None:
    """One line a check, in columns; then what failed, and why."""
    lines = plain(verdict(CHAMPION))
    assert lines[0] == "Refused: cells:2 against cells:1"
    assert len({line.index("0.") for line in lines[2:3]}) == 1
    assert lines[-2:] == ["1 of 3 checks failed: sensitivity A.", "Loses too much."]


def test_the_headline_of_a_passed_verdict() -> None:
    """Nothing failed, and that is all there is to say."""
    assert headline(verdict(None, FLOOR, LATENCY)) == "All 2 checks passed."


def test_a_first_model_has_a_rule_of_its_own() -> None:
    """Form, log and page all say that there was nobody to compare with."""
    assert "as first model" in markdown(verdict())
    assert "as first model" in plain(verdict())[0]
    assert "The rule for a first model" in page(verdict())


def test_the_page_shows_every_check() -> None:
    """Value, interval, limit and sentence, in a page that stands alone."""
    shown = page(verdict(CHAMPION))
    assert "Not promoted" in shown
    assert "0.700 to 0.900" in shown
    assert "champion since 01 Nov 2026" in shown
    assert "1,234 images" in shown
    assert shown.count('<div class="check') == 3
    assert shown.count('<div class="check fail') == 1
    assert "http" not in shown


def test_the_bar_of_a_difference_has_zero_in_its_middle() -> None:
    """Gain to the right, loss to the left."""
    assert '<i class="zero" style="left: 50.0%"></i>' in page(verdict(CHAMPION))


def test_the_page_escapes_what_others_wrote() -> None:
    """An error text of the service is text, not markup."""
    hostile = LATENCY.model_copy(update={"sentence": "<script>alert(1)</script>"})
    shown = page(verdict(None, hostile))
    assert "<script>" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_a_verdict_without_evidence_is_still_shown() -> None:
    """Verdicts of before the evidence was counted can be read."""
    assert "images</b>" not in page(verdict().model_copy(update={"evidence": None}))


def test_a_challenger_that_serves_already_is_unchanged() -> None:
    """Page, form and log say that there is nothing to promote; a failed check still refuses."""
    same = CHAMPION.model_copy(update={"tag": "cells:2"})
    said = verdict(same, FLOOR)
    sentence = "The challenger is the champion: same bundle, nothing to promote or deploy."
    assert markdown(said).startswith(f"**Unchanged**: `cells:2` which already serves. {sentence}")
    shown = page(said)
    assert "<h1>Unchanged</h1>" in shown
    assert 'class="badge plain">unchanged</span>' in shown
    assert sentence in shown
    assert plain(said)[0] == "Unchanged: cells:2 which already serves"
    assert "<h1>Not promoted</h1>" in page(verdict(same))
