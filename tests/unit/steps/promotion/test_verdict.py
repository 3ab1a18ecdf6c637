"""A figure against its limit."""

import pytest

from pipeline.statistics.metrics import Interval
from pipeline.steps.promotion.verdict import GateVerdict, Limit, at_least, at_most, judge

SURE = Interval(value=0.5, low=0.4, high=0.6)


@pytest.mark.parametrize(
    ("limit", "passed"),
    [
        (at_least(0.5), True),
        (at_least(0.51), False),
        (at_least(0.5, "low"), False),
        (at_least(0.4, "low"), True),
        (at_most(0.5), True),
        (at_most(0.45), False),
        (at_most(0.45, "low"), True),
    ],
)
def test_the_figure_named_is_held_against_the_limit(limit: Limit, passed: bool) -> None:
    """Value or low end; at the limit is kept."""
    assert judge("floors", "x", SURE, limit, "").passed is passed


@pytest.mark.parametrize(("resampled_low", "passed"), [(-0.04, True), (-0.06, False)])
def test_a_comparison_is_decided_on_resampled_cells(resampled_low: float, passed: bool) -> None:
    """The interval is wider, and shown; the rule has its own figure."""
    wide = Interval(value=0.0, low=-0.3, high=0.3)
    limit = at_least(-0.05, "resampled low")
    check = judge("champion", "x", wide, limit, "", "difference", resampled_low=resampled_low)
    assert check.passed is passed
    assert (check.low, check.resampled_low) == (-0.3, resampled_low)


@pytest.mark.parametrize("limit", [at_least(0), at_most(1)])
def test_what_is_no_number_keeps_no_limit(limit: Limit) -> None:
    """A NaN is a failure, whichever side the limit is on."""
    assert not judge("floors", "x", float("nan"), limit, "").passed


def test_what_failed_is_named() -> None:
    """In the order of the checks."""
    checks = tuple(judge("floors", name, 0.5, at_least(0.6), "") for name in "ab")
    good = judge("floors", "c", 0.5, at_least(0.5), "")
    verdict = GateVerdict(name="x", tag="x:1", champion=None, passed=False, checks=(*checks, good))
    assert verdict.failed == ("a", "b")


def test_a_verdict_reads_back_as_it_was_written() -> None:
    """`verdict.json` loses nothing."""
    check = judge("floors", "x", SURE, at_least(0.5), "Good.")
    verdict = GateVerdict(name="x", tag="x:1", champion=None, passed=True, checks=(check,))
    assert GateVerdict.model_validate_json(verdict.model_dump_json()) == verdict
