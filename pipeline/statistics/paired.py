"""Two models on the same images: their difference cell by cell, and how sure it is.

Both models are resampled with the same cells, so what makes a cell hard for both cancels.
"""

import numpy as np

from pipeline.records import Frozen
from pipeline.statistics.intervals import Resamples, percentile_interval
from pipeline.statistics.metrics import Floats, Interval, Ints


class Difference(Interval):
    """Challenger minus champion, -1 to 1, with a 95 % interval that has width in any case."""

    resampled_low: float
    """Low end over resampled cells alone. It says nothing of a cell that both models answer alike
    for want of a hard one, so it is no confidence bound: the gate's rule rests on it, whose errors
    were simulated (docs/decisions/0005)."""
    cells: int
    """Cells that were compared."""
    differing: int
    """Cells of which one model names an image rightly that the other does not."""


class Differences(Frozen):
    """Of balanced accuracy, and of the sensitivity to each class."""

    overall: Difference
    """Of balanced accuracy: the mean over the classes that are present."""
    by_class: dict[int, Difference]
    """Of the sensitivity to each class that is present, by its index."""


def paired_differences(
    truth: Ints,
    challenger: Ints,
    champion: Ints,
    groups: Ints,
    cells: Ints,
    *,
    draws: int,
    seed: int = 0,
) -> Differences:
    """Differences of per-image sensitivity, with intervals over groups.

    Args:
        truth: class of each image (n,).
        challenger: class that the challenger named (n,).
        champion: class that the champion named (n,).
        groups: group of each image (n,), 0..k-1, which is resampled whole.
        cells: cell of each image (n,), which is counted.
        draws: number of resamples.
        seed: of the resampling.

    Raises:
        ValueError: when there is no image.
    """
    if not len(truth):
        raise ValueError("no images to compare on")
    present = np.flatnonzero(np.bincount(truth))
    of_class = (truth[:, None] == present) * 1.0
    gained = (challenger == truth) * 1.0 - (champion == truth)
    resamples = Resamples(groups, truth, draws=draws, seed=seed)
    with np.errstate(invalid="ignore"):  # a class of few patients may be missing from a resample
        drawn = resamples.sums(of_class * gained[:, None]) / resamples.sums(of_class)
    intervals = _intervals(gained, of_class, resamples)
    samples = [np.nanmean(drawn, axis=1), *drawn.T]
    seen = [np.ones(len(truth), bool), *of_class.T.astype(bool)]
    found = [
        Difference(
            **one.model_dump(),
            resampled_low=percentile_interval(one.value, sample).low,
            cells=len(np.unique(cells[rows])),
            differing=len(np.unique(cells[rows & (gained != 0)])),
        )
        for one, sample, rows in zip(intervals, samples, seen, strict=True)
    ]
    named = dict(zip(present.tolist(), found[1:], strict=True))
    return Differences(overall=found[0], by_class=named)


def _intervals(gained: Floats, of_class: Floats, resamples: Resamples) -> list[Interval]:
    """Of balanced accuracy, then of each class: a difference is twice a share of wins, less one."""
    count = of_class.sum(axis=0)
    by_class = gained @ of_class / count
    weights = np.column_stack([of_class @ (1 / count), of_class])
    shares = resamples.shares(weights * (1 + gained[:, None]) / 2, weights)
    return [
        Interval(value=value, low=min(2 * one.low - 1, value), high=max(2 * one.high - 1, value))
        for value, one in zip([by_class.mean(), *by_class], shares, strict=True)
        if one is not None
    ]
