"""Timing, and rows of the table. Subject and baseline alternate: machine load affects both."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.records import Frozen
from pipeline.statistics.intervals import Interval


class Row(Frozen):
    """One row of the table of results: a value with its interval, unit and baseline."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    baseline: str


def ratio(
    name: str,
    subject: Callable[[], object],
    baseline: Callable[[], object],
    baseline_name: str,
    *,
    rounds: int = 12,
) -> Row:
    """How many times faster `subject` is than `baseline`: geometric mean and 95 % interval.

    Args:
        name: of the row.
        subject: does the work once.
        baseline: does the same work once.
        baseline_name: of the row.
        rounds: pairs of timings, after one warm-up of each.
    """
    subject(), baseline()
    logs = np.array([np.log(_seconds(baseline) / _seconds(subject)) for _ in range(rounds)])
    return ratio_row(name, logs, "times faster", baseline_name)


def ratio_row(name: str, logs: NDArray[np.float64], unit: str, baseline: str) -> Row:
    """Row of the geometric mean and 95 % interval of ratios, from their logarithms (rounds,)."""
    return _row(name, np.exp(_mean_interval(logs)), unit, baseline)


def mean_row(name: str, values: NDArray[np.float64], unit: str, baseline: str) -> Row:
    """Row of the mean and 95 % interval of values (rounds,)."""
    return _row(name, _mean_interval(values), unit, baseline)


def median_row(name: str, values: NDArray[np.float64], unit: str, baseline: str) -> Row:
    """Row of the median of 15 values; the 4th and 12th are a 96 % interval."""
    return _row(name, np.sort(values)[[7, 3, 11]], unit, baseline)


def range_row(name: str, values: NDArray[np.float64], unit: str, baseline: str) -> Row:
    """Row of the median, minimum and maximum of values (rounds,)."""
    ends = np.array([np.median(values), values.min(), values.max()])
    return _row(name, ends, unit, baseline)


def single_row(name: str, value: float, unit: str, baseline: str) -> Row:
    """Row of a single measurement, without an interval."""
    return _row(name, np.full(3, value), unit, baseline)


def interval_row(name: str, interval: Interval, unit: str, baseline: str) -> Row:
    """Row of a value with a given interval."""
    return _row(name, np.array([interval.value, interval.low, interval.high]), unit, baseline)


def milliseconds(work: Callable[[], object], rounds: int) -> NDArray[np.float64]:
    """Call `work` for a number of rounds; duration of each (rounds,), after one warm-up."""
    work()
    return np.array([1000 * _seconds(work) for _ in range(rounds)])


def _row(name: str, ends: NDArray[np.float64], unit: str, baseline: str) -> Row:
    """Row of (value, low, high)."""
    value, low, high = map(float, ends)
    return Row(name=name, value=value, low=low, high=high, unit=unit, baseline=baseline)


def _mean_interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean, low and high end of its 95 % interval."""
    mean, error = values.mean(), 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return np.array([mean, mean - error, mean + error])


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
