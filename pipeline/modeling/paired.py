"""Two models on the same images: their difference cell by cell, and how sure it is.

Both models are resampled with the same cells, so what makes a cell hard for both cancels.
"""

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.modeling.metrics import Floats, Interval, Ints, Resamples, interval


class Differences(BaseModel):
    """Challenger minus champion in sensitivity, -1 to 1, each with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    overall: Interval
    """Of balanced accuracy: the mean over the classes that are present."""
    by_class: dict[int, Interval]
    """Of the sensitivity to each class that is present, by its index."""


def paired_differences(
    truth: Ints,
    challenger: Ints,
    champion: Ints,
    codes: Ints,
    *,
    draws: int,
    seed: int = 0,
) -> Differences:
    """Differences of per-image sensitivity, with intervals over cells.

    Args:
        truth: class of each image (n,).
        challenger: class that the challenger named (n,).
        champion: class that the champion named (n,).
        codes: cell of each image (n,), 0..k-1.
        draws: number of resamples.
        seed: of the resampling.

    Raises:
        ValueError: when there is no image.
    """
    if not len(truth):
        raise ValueError("no images to compare on")
    of_class = np.eye(int(truth.max()) + 1)[truth]
    gained = (challenger == truth) * 1.0 - (champion == truth)
    resamples = Resamples(codes, truth, draws=draws, seed=seed)
    drawn = _ratio(resamples.sums(of_class * gained[:, None]), resamples.sums(of_class))
    found = _ratio(gained @ of_class, of_class.sum(axis=0))
    present = np.flatnonzero(~np.isnan(found))
    return Differences(
        overall=interval(float(found[present].mean()), np.nanmean(drawn[:, present], axis=1)),
        by_class={int(k): interval(float(found[k]), drawn[:, k]) for k in present},
    )


def _ratio(gained: Floats, images: Floats) -> Floats:
    """Difference in sensitivity (..., classes); NaN where there is no image of a class."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(gained / images)
