"""Counts and votes of a classifier whose images come in groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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


def sensitivities(counts: Ints) -> Floats:
    """Share of each class (classes,) that is named as it; NaN where a class is absent.

    Args:
        counts: confusion matrix (classes, classes), truth by row.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.diagonal(counts) / counts.sum(axis=1))


def group_codes(groups: Sequence[str]) -> Ints:
    """Groups as integers 0..k-1, in order of name."""
    return np.asarray(np.unique(np.array(groups), return_inverse=True)[1], dtype=np.int64)


def vote(probabilities: Floats, codes: Ints) -> Floats:
    """Mean probabilities of each group (k, classes): one answer per cell."""
    sums = np.zeros((int(codes.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, codes, probabilities)
    return np.asarray(sums / np.bincount(codes)[:, None])
