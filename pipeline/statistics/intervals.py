"""95 % confidence intervals over groups, which have width also where all predictions are correct.

The percentile bootstrap draws from the observed cells: if all are correct, so is every resample,
and the interval has no width. Here each resample also has one unobserved pseudo-observation, of
value 0 for the lower bound and 1 for the upper one, with a Beta(1, n) share of the weight. With
Dirichlet weights for the n cells this is Gaffke's bound for values between 0 and 1 (Math. Methods
of Statistics 14, 2005; Learned-Miller & Thomas, arXiv:1905.06208), and for binary values the exact
interval (Clopper & Pearson, Biometrika 26, 1934). The weights of Rao and Wu used here give the same
where all or no predictions are correct, and a slightly wider interval otherwise.
docs/decisions/0017 has the coverage by simulation, and the alternatives.
"""

import copy
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.statistics.groups import Bools, Floats, Ints

TAILS = (2.5, 97.5)
"""Percentiles of a 95 % interval."""


class Interval(BaseModel):
    """A value with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    high: float


class Resamples:
    """Bootstrap resamples of groups within strata.

    Whole groups are drawn, since images of one cell are correlated (Field & Welsh, J. R. Stat. Soc.
    B 69, 2007). One group fewer than there are is drawn and the counts are scaled up; otherwise an
    interval from three cells would be a fifth too narrow (Rao & Wu, JASA 83:231, 1988). Drawn once;
    any statistic made of sums is then a matrix product.
    """

    def __init__(self, codes: Ints, classes: Ints, *, draws: int, seed: int = 0) -> None:
        """Draw the resamples; the same arguments give the same ones.

        Args:
            codes: group of each image (n,), 0 to k-1.
            classes: class of each image (n,), by which groups are stratified.
            draws: number of resamples.
            seed: of the random generator.
        """
        rng = np.random.default_rng(seed)
        stratum = strata(codes, classes)
        order = np.argsort(stratum, kind="stable")
        self._position = np.argsort(order)
        self.codes = self._position[codes]
        """Column of `counts` of each image (n,); columns are ordered by stratum, then by code."""
        self.counts = np.zeros((draws, len(stratum)))
        """How often each group is drawn, scaled up (draws, groups)."""
        stops = np.cumsum(np.bincount(stratum))
        self._strata = [slice(*ab) for ab in pairwise([0, *stops.tolist()]) if ab[0] < ab[1]]
        for one in self._strata:
            groups = one.stop - one.start
            drawn = max(groups - 1, 1)
            multiplicity = rng.multinomial(drawn, np.full(groups, 1 / groups), size=draws)
            self.counts[:, one] = multiplicity * (groups / drawn)
        self._uniform = (rng.permutation(draws) + 0.5) / draws
        """Evenly spaced (draws,), so that the pseudo-observation adds no noise to the bounds."""

    def for_rows(self, codes: Ints) -> "Resamples":
        """The same draws of groups for other rows (m,), whose groups are `codes` (m,)."""
        other = copy.copy(self)
        other.codes = self._position[codes]
        return other

    def sums(self, values: Floats) -> Floats:
        """Sum of values (n, columns) over the images of each resample: (draws, columns)."""
        return np.asarray(self.counts @ self._group_sums(values))

    def shares(self, hits: Floats, weights: Floats) -> list[Interval | None]:
        """Weighted shares of hits with their intervals, per column; None where no image has weight.

        Each stratum gets its own interval. The distances to its bounds are combined as a root of
        the sum of squares (MOVER: Zou & Donner, Stat. Med. 27:1693, 2008), so that a class of few
        cells is not hidden by the many cells of another.

        Args:
            hits: weight of the images that count as hits (n, columns), 0 for others.
            weights: of each image (n, columns), on any scale.
        """
        hits, weights = self._group_sums(hits), self._group_sums(weights)
        total = weights.sum(axis=0)
        below, above = np.zeros(len(total)), np.zeros(len(total))
        for one in self._strata:
            columns = np.flatnonzero(weights[one].sum(axis=0))
            value, low, high = self._share_in_stratum(
                one, hits[one, columns], weights[one, columns]
            )
            part = weights[one, columns].sum(axis=0) / total[columns]
            below[columns] += (part * (value - low)) ** 2
            above[columns] += (part * (high - value)) ** 2
        return [
            _clipped(hit / weight, np.sqrt(down), np.sqrt(up)) if weight else None
            for hit, weight, down, up in zip(hits.sum(axis=0), total, below, above, strict=True)
        ]

    def bounds(self, value: Floats, samples: Floats, cells: Floats) -> tuple[Floats, Floats]:
        """Lower and upper 95 % bound (columns,) of statistics between 0 and 1.

        Args:
            value: the statistics (columns,); the interval always contains them.
            samples: the statistics of each resample (draws, columns); NaN where undefined.
            cells: effective number of cells of each (columns,).
        """
        observed = (1 - self._uniform)[:, None] ** (1 / cells)
        low = _percentile(observed * samples, TAILS[0])
        high = _percentile(1 - observed * (1 - samples), TAILS[1])
        # Rounding may put weighted sums just outside 0 to 1.
        return np.clip(np.minimum(low, value), 0, 1), np.clip(np.maximum(high, value), 0, 1)

    def effective_size(self, weights: Floats) -> Floats:
        """Effective number of groups (columns,) of images with weights (n, columns)."""
        return effective_size(self._group_sums(weights))

    def _share_in_stratum(
        self, groups: slice, hits: Floats, weights: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Share, lower and upper bound (columns,) over the groups of one stratum."""
        counts = self.counts[:, groups]
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = (counts @ hits) / (counts @ weights)
        value = hits.sum(axis=0) / weights.sum(axis=0)
        return value, *self.bounds(value, samples, effective_size(weights))

    def _group_sums(self, values: Floats) -> Floats:
        """Sums of values (n, columns) over the images of each group (groups, columns)."""
        sums = np.zeros((self.counts.shape[1], values.shape[1]))
        np.add.at(sums, self.codes, values)
        return sums


def strata(codes: Ints, classes: Ints) -> Ints:
    """Stratum of each group (k,): its rarest class, the one that the fewest groups have.

    A cell has one class, and that is its stratum. A patient has several: by the rarest one, every
    resample has that class as well.

    Args:
        codes: group of each image (n,), 0 to k-1.
        classes: class of each image (n,).
    """
    contains: Bools = np.zeros((int(codes.max()) + 1, int(classes.max()) + 1), bool)
    contains[codes, classes] = True
    sizes = np.where(contains, contains.sum(axis=0), len(contains) + 1)
    return np.asarray(sizes.argmin(axis=1))


def effective_size(weights: NDArray[np.float64]) -> Floats:
    """Effective sample size (columns,) of cells with weights (cells, columns).

    One cell of a hundred images and nine cells of one image are little more than one cell (Kish,
    Survey Sampling, 1965). The formula assumes that all images of a cell get the same prediction;
    otherwise it is conservative.
    """
    return np.asarray(weights.sum(axis=0) ** 2 / (weights**2).sum(axis=0))


def predictive_value(
    sensitivity: Interval, specificity: Interval, own: float, others: float
) -> Interval | None:
    """Positive predictive value with its interval, by Bayes' rule; None if never predicted.

    Sensitivity is estimated on the cells of the class and specificity on those of the others: the
    change of the value at the bound of each is combined by MOVER (see `Resamples.shares`).

    Args:
        sensitivity: to the class.
        specificity: share of the other classes that is not predicted as this one.
        own: prevalence of the class.
        others: prevalence of all others together.
    """

    def at(hit_rate: float, rejection_rate: float) -> float:
        true, false = own * hit_rate, others * (1 - rejection_rate)
        return true / (true + false) if true + false else np.nan

    value = at(sensitivity.value, specificity.value)
    if np.isnan(value):
        return None

    def distance(bound: Literal["low", "high"]) -> float:
        moved = [
            at(getattr(sensitivity, bound), specificity.value),
            at(sensitivity.value, getattr(specificity, bound)),
        ]
        # NaN: at that bound the class is never predicted, so that no prediction of it is wrong.
        return float(np.hypot(*np.nan_to_num(np.array(moved) - value)))

    return _clipped(value, distance("low"), distance("high"))


def _percentile(samples: Floats, at: float) -> Floats:
    """Percentile of each column (draws, columns), ignoring NaN.

    `nanpercentile` loops over columns, so that it is called only for those with NaN.
    """
    result = np.percentile(samples, at, axis=0, method="hazen")
    undefined = np.isnan(result)
    if undefined.any():
        result[undefined] = np.nanpercentile(samples[:, undefined], at, axis=0, method="hazen")
    return np.asarray(result)


def _clipped(value: float, down: float, up: float) -> Interval:
    """Interval from `value - down` to `value + up`; clipped to 0 to 1 against rounding errors."""
    low, value, high = (float(np.clip(x, 0, 1)) for x in (value - down, value, value + up))
    return Interval(value=value, low=low, high=high)


def percentile_interval(value: float, samples: Floats) -> Interval:
    """Percentile bootstrap interval of resampled values (draws,), extended to contain `value`.

    It has no width where all resamples agree: for decision rules and as a baseline, not to report.
    """
    low, high = np.nanpercentile(samples, TAILS)
    return Interval(value=float(value), low=min(float(low), value), high=max(float(high), value))
