"""Scores of a classifier whose images come in groups: the cell is the unit of evidence."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Interval(BaseModel):
    """A value with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts (classes, classes): rows are the truth, columns the prediction."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def sensitivities(truth: Ints, predicted: Ints, classes: int, weight: Floats) -> Floats:
    """Weighted share of each class that is found (classes,); NaN where a class is absent."""
    total = np.bincount(truth, weights=weight, minlength=classes)
    right = np.bincount(truth, weights=weight * (truth == predicted), minlength=classes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(right / total)


def balanced_accuracy(truth: Ints, predicted: Ints, classes: int, weight: Floats) -> float:
    """Mean sensitivity over the classes that are present."""
    return float(np.nanmean(sensitivities(truth, predicted, classes, weight)))


def calibration_error(confidence: Floats, correct: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error over equal-width bins (Naeini et al., AAAI 2015)."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    gap = np.bincount(which, weights=confidence - correct, minlength=bins)
    return float(np.abs(gap).sum() / max(counts.sum(), 1))


def group_codes(groups: Sequence[str]) -> Ints:
    """Groups as integers 0..k-1, in order of name."""
    return np.asarray(np.unique(np.array(groups), return_inverse=True)[1], dtype=np.int64)


def vote(probabilities: Floats, codes: Ints) -> Floats:
    """Mean probabilities of each group (k, classes): one answer per cell."""
    sums = np.zeros((int(codes.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, codes, probabilities)
    return np.asarray(sums / np.bincount(codes)[:, None])


def group_bootstrap(
    score: Callable[[Floats], float], codes: Ints, strata: Ints, *, draws: int, seed: int
) -> Interval:
    """95 % percentile interval by resampling groups within their class (Field & Welsh, 2007).

    Args:
        score: weights (n,) of the images to a score.
        codes: group of each image (n,).
        strata: class of each image (n,); a group belongs to the class of its first image.
        draws: number of resamples.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    first = np.unique(codes, return_index=True)[1]
    members = [np.flatnonzero(strata[first] == stratum) for stratum in np.unique(strata[first])]
    scores = np.empty(draws)
    for draw in range(draws):
        times = np.zeros(len(first))
        for groups in members:
            picked = rng.integers(0, len(groups), len(groups))
            times[groups] = np.bincount(picked, minlength=len(groups))
        scores[draw] = score(times[codes])
    low, high = np.nanpercentile(scores, [2.5, 97.5])
    return Interval(value=score(np.ones(len(codes))), low=float(low), high=float(high))
