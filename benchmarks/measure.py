"""Timing two things against each other, in turns, so that a busy moment hits both."""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """One line of the table."""

    model_config = ConfigDict(frozen=True)

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
    against: str,
    *,
    rounds: int = 12,
) -> Row:
    """How many times faster `subject` is than `baseline`: geometric mean and 95 % interval.

    Args:
        name: of the row.
        subject: does the work once.
        baseline: does the same work the other way.
        against: what the baseline is.
        rounds: pairs of timings, after one warm-up of each.
    """
    subject(), baseline()
    logs = np.array([np.log(_seconds(baseline) / _seconds(subject)) for _ in range(rounds)])
    return compared(name, logs, against, "times faster")


def compared(name: str, logs: NDArray[np.float64], against: str, unit: str) -> Row:
    """Geometric mean and 95 % interval of ratios whose logarithms are given (rounds,)."""
    mean, error = logs.mean(), 1.96 * logs.std(ddof=1) / np.sqrt(len(logs))
    value, low, high = (float(np.exp(x)) for x in (mean, mean - error, mean + error))
    return Row(name=name, value=value, low=low, high=high, unit=unit, baseline=against)


def figure(name: str, value: float, unit: str, baseline: str) -> Row:
    """A row of something that was measured once."""
    return Row(name=name, value=value, low=value, high=value, unit=unit, baseline=baseline)


def spread(name: str, values: NDArray[np.float64], unit: str, baseline: str) -> Row:
    """A row of something that was measured several times (rounds,): median, least and most."""
    return Row(
        name=name,
        value=float(np.median(values)),
        low=float(values.min()),
        high=float(values.max()),
        unit=unit,
        baseline=baseline,
    )


def milliseconds(work: Callable[[], object], rounds: int) -> NDArray[np.float64]:
    """How long each of some rounds (rounds,) took, after a warm-up."""
    work()
    return np.array([1000 * _seconds(work) for _ in range(rounds)])


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
