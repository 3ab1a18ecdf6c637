"""Paired comparison of two models on the same images, with confidence intervals over groups.

Both models are resampled with the same groups, so that the difficulty of a group cancels out.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.records import Frozen
from pipeline.statistics.groups import Floats, Ints
from pipeline.statistics.intervals import Interval, Resamples, percentile_interval


@dataclass(frozen=True)
class PairedPredictions:
    """Predictions of two models for the same images, each (n,)."""

    truth: Ints
    """True classes."""
    challenger: Ints
    """Classes predicted by the challenger; likewise `champion`."""
    champion: Ints
    groups: Ints
    """Group, 0 to k-1: the unit of resampling."""
    cells: Ints
    """Cell: the unit of counting."""


class Difference(Interval):
    """Challenger minus champion, -1 to 1: 95 % interval, and the bootstrap bound for the gate."""

    resampled_low: float
    """Lower bound of the percentile bootstrap, on which the gate decides; its error rates are
    simulated (docs/decisions/0005). No confidence bound: it equals the value if no cell differs."""
    cells: int
    """Number of compared cells."""
    differing: int
    """Number of cells with an image that only one of the models classifies correctly."""


class Differences(Frozen):
    """Differences in balanced accuracy and in the sensitivity to each class."""

    overall: Difference
    """In balanced accuracy: the mean over the classes that are present."""
    by_class: dict[int, Difference]
    """In the sensitivity to each class that is present, by its index."""


def paired_differences(predictions: PairedPredictions, *, draws: int, seed: int = 0) -> Differences:
    """Differences in balanced accuracy and per class; the intervals resample groups.

    Args:
        predictions: of both models.
        draws: number of resamples.
        seed: of the resampling.

    Raises:
        ValueError: without images.
    """
    truth, cells = predictions.truth, predictions.cells
    if not len(truth):
        raise ValueError("no images to compare on")
    present = np.flatnonzero(np.bincount(truth))
    of_class = (truth[:, None] == present) * 1.0
    gained = (predictions.challenger == truth) * 1.0 - (predictions.champion == truth)
    resamples = Resamples(predictions.groups, truth, draws=draws, seed=seed)
    with np.errstate(invalid="ignore"):  # a resample may lack a class that few patients have
        by_class = resamples.sums(of_class * gained[:, None]) / resamples.sums(of_class)
    intervals = _intervals(gained, of_class, resamples)
    samples = [np.nanmean(by_class, axis=1), *by_class.T]
    selections = [np.ones(len(truth), bool), *of_class.T.astype(bool)]
    overall, *of_classes = [
        Difference(
            **one.model_dump(),
            resampled_low=percentile_interval(one.value, sample).low,
            cells=len(np.unique(cells[rows])),
            differing=len(np.unique(cells[rows & (gained != 0)])),
        )
        for one, sample, rows in zip(intervals, samples, selections, strict=True)
    ]
    return Differences(
        overall=overall, by_class=dict(zip(present.tolist(), of_classes, strict=True))
    )


def _intervals(gained: Floats, of_class: Floats, resamples: Resamples) -> list[Interval]:
    """Intervals of the difference in balanced accuracy, then in the sensitivity to each class."""
    count = of_class.sum(axis=0)
    by_class = gained @ of_class / count
    weights = np.column_stack([of_class @ (1 / count), of_class])
    # A difference is 2 * (share of wins) - 1.
    shares = resamples.shares(weights * (1 + gained[:, None]) / 2, weights)
    return [
        Interval(value=value, low=min(2 * one.low - 1, value), high=max(2 * one.high - 1, value))
        for value, one in zip([by_class.mean(), *by_class], shares, strict=True)
        if one is not None
    ]
