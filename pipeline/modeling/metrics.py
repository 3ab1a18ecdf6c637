"""Scores of a classifier whose images come in groups: the cell is the unit of evidence."""

import copy
from collections.abc import Callable, Sequence

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


class Rates(BaseModel):
    """Figures of each class (..., classes) that follow from a confusion matrix."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    sensitivity: Floats
    specificity: Floats
    precision: Floats


def confusion(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts (classes, classes): rows are the truth, columns the prediction."""
    flat = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def rates(counts: NDArray[np.generic], prevalence: Floats) -> Rates:
    """Sensitivity, specificity and precision where classes occur at a prevalence.

    The mix of an archive says nothing about the mix in blood, so what depends on it is worked out
    by Bayes' rule from how each class is answered. NaN where a class is absent or never named.

    Args:
        counts: confusion matrices (..., classes, classes), truth by row.
        prevalence: of each class (classes,); absent classes are left out of it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        answered = counts / counts.sum(axis=-1, keepdims=True)
        found = np.diagonal(answered, axis1=-2, axis2=-1)
        joint = np.nan_to_num(answered) * prevalence[:, None]
        named = joint.sum(axis=-2)
        right = np.diagonal(joint, axis1=-2, axis2=-1)
        present = np.where(np.isnan(found), 0, prevalence)
        others = present.sum(axis=-1, keepdims=True) - present
        return Rates(
            sensitivity=np.asarray(found),
            specificity=np.asarray(1 - (named - right) / others),
            precision=np.asarray(right / named),
        )


def group_codes(groups: Sequence[str]) -> Ints:
    """Groups as integers 0..k-1, in order of name."""
    return np.asarray(np.unique(np.array(groups), return_inverse=True)[1], dtype=np.int64)


def vote(probabilities: Floats, codes: Ints) -> Floats:
    """Mean probabilities of each group (k, classes): one answer per cell."""
    sums = np.zeros((int(codes.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, codes, probabilities)
    return np.asarray(sums / np.bincount(codes)[:, None])


class Resamples:
    """How often each group is drawn when groups are resampled within their class.

    Resampling whole clusters keeps what images of one cell have in common (Field & Welsh, J. R.
    Stat. Soc. B 69, 2007); one fewer than there are is drawn and weighed up, or an interval from
    three cells would be a fifth too narrow (Rao & Wu, JASA 83:231, 1988). Drawn once, and every
    figure that is made of sums is a matrix product.
    """

    def __init__(self, codes: Ints, strata: Ints, *, draws: int, seed: int = 0) -> None:
        """Draw.

        Args:
            codes: group of each image (n,), 0 to k-1.
            strata: class of each image (n,); a group belongs to the class of its first image.
            draws: number of resamples.
            seed: of the resampling.
        """
        rng = np.random.default_rng(seed)
        stratum = strata[np.unique(codes, return_index=True)[1]]
        self.codes = codes
        self.times = np.zeros((draws, len(stratum)))
        """(draws, groups)"""
        for one in np.unique(stratum):
            members = np.flatnonzero(stratum == one)
            drawn = max(len(members) - 1, 1)
            picked = rng.multinomial(drawn, np.full(len(members), 1 / len(members)), size=draws)
            self.times[:, members] = picked * (len(members) / drawn)

    def of_groups(self) -> "Resamples":
        """The same resamples of one answer a group, in order of code."""
        groups = copy.copy(self)
        groups.codes = np.arange(self.times.shape[1])
        return groups

    def sums(self, values: Floats) -> Floats:
        """Sum of values (n, columns) over the images of each resample: (draws, columns)."""
        by_group = np.zeros((self.times.shape[1], values.shape[1]))
        np.add.at(by_group, self.codes, values)
        return np.asarray(self.times @ by_group)

    def confusions(self, truth: Ints, predicted: Ints, classes: int) -> Floats:
        """Confusion matrix of each resample: (draws, classes, classes)."""
        cells = classes * classes
        place = self.codes * cells + truth * classes + predicted
        by_group = np.bincount(place, minlength=self.times.shape[1] * cells).reshape(-1, cells)
        return np.asarray((self.times @ by_group).reshape(-1, classes, classes))

    def each(self, score: Callable[[Floats], float | Floats]) -> Floats:
        """What no matrix product gives: `score` of the images' weights (n,), draw by draw."""
        return np.array([score(times[self.codes]) for times in self.times])


def interval(value: float, samples: Floats) -> Interval:
    """95 % percentile interval of resampled values (draws,), stretched to hold the value.

    A calibration error sums absolute gaps, so that resampling, which adds noise, adds to it: all
    resamples of a well calibrated model may be above what was measured.
    """
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Interval(value=float(value), low=min(float(low), value), high=max(float(high), value))
