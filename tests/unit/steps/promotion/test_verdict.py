"""Comparison of measured figures with limits."""

import pytest

from pipeline.statistics.intervals import Interval
from pipeline.statistics.paired_comparison import Difference
from pipeline.steps.promotion.verdict import Check, Criterion, GateVerdict, Limit, at_least, at_most

INTERVAL = Interval(value=0.5, low=0.4, high=0.6)


def check(measured: Interval | float, limit: Limit, name: str = "x") -> Check:
    return Criterion("floors", name, limit).check(measured, "")


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
def test_the_value_or_the_lower_bound_is_compared(limit: Limit, passed: bool) -> None:
    """A figure equal to the threshold passes."""
    assert check(INTERVAL, limit).passed is passed


@pytest.mark.parametrize(("resampled_low", "passed"), [(-0.04, True), (-0.06, False)])
def test_a_comparison_is_decided_on_resampled_cells(resampled_low: float, passed: bool) -> None:
    """The lower bound of the interval is recorded, but does not decide."""
    difference = Difference(
        value=0.0, low=-0.3, high=0.3, resampled_low=resampled_low, cells=9, differing=2
    )
    result = check(difference, at_least(-0.05, "resampled low"))
    assert result.passed is passed
    assert (result.low, result.resampled_low) == (-0.3, resampled_low)


@pytest.mark.parametrize("limit", [at_least(0), at_most(1)])
def test_nan_fails(limit: Limit) -> None:
    """On either side of a limit."""
    assert not check(float("nan"), limit).passed


def test_failed_checks_are_listed() -> None:
    """In the order of the checks."""
    checks = tuple(check(0.5, at_least(0.6), name) for name in "ab")
    good = check(0.5, at_least(0.5), "c")
    verdict = GateVerdict(name="x", tag="x:1", champion=None, passed=False, checks=(*checks, good))
    assert verdict.failed == ("a", "b")


def test_a_verdict_reads_back_as_it_was_written() -> None:
    """`verdict.json` loses nothing."""
    good = check(INTERVAL, at_least(0.5))
    verdict = GateVerdict(name="x", tag="x:1", champion=None, passed=True, checks=(good,))
    assert GateVerdict.model_validate_json(verdict.model_dump_json()) == verdict
