"""95 % intervals over cells that keep their coverage where no answer, or every answer, is wrong.

The percentile bootstrap draws from the cells that were seen: where all of them are right, each
resample is, and its interval has no width. Here each resample also holds one pseudo-observation
that nobody saw: of value 0 for the low end, of value 1 for the high end, with a Beta(1, n) share of
the weight. With Dirichlet weights for the n cells that is Gaffke's bound for values between 0 and 1
(Math. Methods of Statistics 14, 2005; Learned-Miller & Thomas, arXiv:1905.06208), and for right or
wrong answers the exact interval (Clopper & Pearson, Biometrika 26, 1934). The weights of Rao and Wu
used here are the same where all answers are right or all wrong, and a little wider between.
docs/decisions/0017 has the coverage by simulation, and the methods that were not taken.
"""

import copy
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.statistics.metrics import Bools, Floats, Interval, Ints

TAILS = (2.5, 97.5)
"""Percentiles that leave a nominal 95 % between them."""


class Resamples:
    """How often each group is drawn when groups are resampled within their stratum.

    Resampling whole clusters keeps what images of one cell have in common (Field & Welsh, J. R.
    Stat. Soc. B 69, 2007); one fewer than there are is drawn and weighed up, or an interval from
    three cells would be a fifth too narrow (Rao & Wu, JASA 83:231, 1988). Drawn once; every figure
    made of sums is a matrix product.
    """

    def __init__(self, codes: Ints, classes: Ints, *, draws: int, seed: int = 0) -> None:
        """Draw.

        Args:
            codes: group of each image (n,), 0 to k-1.
            classes: class of each image (n,).
            draws: number of resamples.
            seed: of the resampling.
        """
        rng = np.random.default_rng(seed)
        stratum = strata(codes, classes)
        order = np.argsort(stratum, kind="stable")
        self._position = np.argsort(order)
        self.codes = self._position[codes]
        """Column of `times` of each image (n,): groups stand by stratum, then by code."""
        self.times = np.zeros((draws, len(stratum)))
        """(draws, groups)"""
        ends = np.cumsum(np.bincount(stratum))
        self._strata = [slice(*ab) for ab in pairwise([0, *ends.tolist()]) if ab[0] < ab[1]]
        for one in self._strata:
            groups = one.stop - one.start
            drawn = max(groups - 1, 1)
            picked = rng.multinomial(drawn, np.full(groups, 1 / groups), size=draws)
            self.times[:, one] = picked * (groups / drawn)
        self._uniform = (rng.permutation(draws) + 0.5) / draws
        """Evenly spaced (draws,), so that the pseudo-observation adds no noise to the ends."""

    def of(self, codes: Ints) -> "Resamples":
        """The same resamples for other rows, whose groups are `codes`."""
        other = copy.copy(self)
        other.codes = self._position[codes]
        return other

    def sums(self, values: Floats) -> Floats:
        """Sum of values (n, columns) over the images of each resample: (draws, columns)."""
        return np.asarray(self.times @ self._by_group(values))

    def shares(self, hits: Floats, weights: Floats) -> list[Interval | None]:
        """Weighted shares of hits, each with its interval; None where nothing has weight.

        Every stratum gets an interval of its own, and their weighted mean the squares of the
        distances added up (MOVER: Zou & Donner, Stat. Med. 27:1693, 2008), so that a class of few
        cells is not hidden by the many cells of another.

        Args:
            hits: weight of each image that counts (n, columns), 0 to that of the image.
            weights: of each image (n, columns); their scale is of no consequence.
        """
        hits, weights = self._by_group(hits), self._by_group(weights)
        total = weights.sum(axis=0)
        below, above = np.zeros(len(total)), np.zeros(len(total))
        for one in self._strata:
            some = np.flatnonzero(weights[one].sum(axis=0))
            value, low, high = self._stratum(one, hits[one, some], weights[one, some])
            part = weights[one, some].sum(axis=0) / total[some]
            below[some] += (part * (value - low)) ** 2
            above[some] += (part * (high - value)) ** 2
        return [
            _within(found / weight, np.sqrt(down), np.sqrt(up)) if weight else None
            for found, weight, down, up in zip(hits.sum(axis=0), total, below, above, strict=True)
        ]

    def ends(self, value: Floats, samples: Floats, cells: Floats) -> tuple[Floats, Floats]:
        """Low and high end (columns,) of figures between 0 and 1.

        Args:
            value: the figures (columns,); the interval always holds them.
            samples: the figures of each resample (draws, columns); NaN where one has none.
            cells: effective number of cells behind each (columns,).
        """
        seen = (1 - self._uniform)[:, None] ** (1 / cells)
        low = _percentile(seen * samples, TAILS[0])
        high = _percentile(1 - seen * (1 - samples), TAILS[1])
        # Weighted sums may leave the unit interval by the last digit.
        return np.clip(np.minimum(low, value), 0, 1), np.clip(np.maximum(high, value), 0, 1)

    def effective(self, weights: Floats) -> Floats:
        """Effective number of cells (columns,) behind images of unequal weights (n, columns)."""
        return effective(self._by_group(weights))

    def _stratum(
        self, groups: slice, hits: Floats, weights: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Share, low and high end (columns,) over the groups of one stratum."""
        times = self.times[:, groups]
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = (times @ hits) / (times @ weights)
        value = hits.sum(axis=0) / weights.sum(axis=0)
        return value, *self.ends(value, samples, effective(weights))

    def _by_group(self, values: Floats) -> Floats:
        sums = np.zeros((self.times.shape[1], values.shape[1]))
        np.add.at(sums, self.codes, values)
        return sums


def strata(codes: Ints, classes: Ints) -> Ints:
    """Stratum of each group (k,): of the classes that it holds, the one in the fewest groups.

    A group of one class, as a cell is, belongs to that class. A group of several classes, as a
    patient is, stands by its rarest one: then every resample holds each class, rare or not.

    Args:
        codes: group of each image (n,), 0 to k-1.
        classes: class of each image (n,).
    """
    held: Bools = np.zeros((int(codes.max()) + 1, int(classes.max()) + 1), bool)
    held[codes, classes] = True
    return np.asarray(np.where(held, held.sum(axis=0), len(held) + 1).argmin(axis=1))


def effective(weights: NDArray[np.float64]) -> Floats:
    """Effective number of cells (columns,) whose weights (cells, columns) are unequal.

    One cell of a hundred photographs and nine cells of one are little more than one cell (Kish,
    Survey Sampling, 1965). It is the effective sample size if all images of a cell are answered
    alike; any other answers are worth more.
    """
    return np.asarray(weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0))


def predictive_value(
    sensitivity: Interval, specificity: Interval, own: float, others: float
) -> Interval | None:
    """How often a named class is right, by Bayes' rule; None where it is never named.

    Sensitivity rests on the cells of the class and specificity on those of the others: what each
    moves the value by at its end is squared and added (MOVER, see `Resamples.shares`).

    Args:
        sensitivity: to the class.
        specificity: share of the other classes that is not named as this one.
        own: prevalence of the class.
        others: prevalence of all others together.
    """

    def at(found: float, spared: float) -> float:
        right, wrong = own * found, others * (1 - spared)
        return right / (right + wrong) if right + wrong else np.nan

    value = at(sensitivity.value, specificity.value)
    if np.isnan(value):
        return None

    def distance(end: Literal["low", "high"]) -> float:
        moved = [
            at(getattr(sensitivity, end), specificity.value),
            at(sensitivity.value, getattr(specificity, end)),
        ]
        # Not a number: at that end the class is never named, and no name is wrong.
        return float(np.hypot(*np.nan_to_num(np.array(moved) - value)))

    return _within(value, distance("low"), distance("high"))


def _percentile(samples: Floats, at: float) -> Floats:
    """Percentile of each column (draws, columns); the loop over those with NaN is slow."""
    found = np.percentile(samples, at, axis=0, method="hazen")
    some = np.isnan(found)
    if some.any():
        found[some] = np.nanpercentile(samples[:, some], at, axis=0, method="hazen")
    return np.asarray(found)


def _within(value: float, down: float, up: float) -> Interval:
    """An interval within 0 and 1, which sums in another order may leave by the last digit."""
    low, value, high = (float(np.clip(x, 0, 1)) for x in (value - down, value, value + up))
    return Interval(value=value, low=low, high=high)


def percentile_interval(value: float, samples: Floats) -> Interval:
    """The plain bootstrap's percentiles of resampled values (draws,), stretched to hold the value.

    It has no width where all resamples agree: for decision rules and as a baseline, not for print.
    """
    low, high = np.nanpercentile(samples, TAILS)
    return Interval(value=float(value), low=min(float(low), value), high=max(float(high), value))
