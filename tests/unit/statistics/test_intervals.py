"""Confidence intervals over cells, also where all predictions are correct."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from pipeline.statistics.groups import Bools, Floats, Ints
from pipeline.statistics.intervals import (
    Interval,
    Resamples,
    effective_size,
    percentile_interval,
    predictive_value,
    strata,
)

DRAWS = 1000


def share(right: Floats | Bools, codes: Ints, classes: Ints, *, seed: int = 0) -> Interval:
    """Balanced share of correct images, with its interval."""
    count = np.bincount(classes)
    weights = (1 / count[classes])[:, None]
    resamples = Resamples(codes, classes, draws=DRAWS, seed=seed)
    (interval,) = resamples.shares(weights * right[:, None], weights)
    assert interval is not None
    return interval


def of_one_class(right: Floats | Bools, codes: Ints | None = None, *, seed: int = 0) -> Interval:
    """The same for images of one class; by default each image is a cell."""
    codes = np.arange(len(right)) if codes is None else codes
    return share(right, codes, np.zeros(len(right), np.int64), seed=seed)


@pytest.mark.parametrize("cells", [1, 2, 4, 16, 50, 799])
def test_the_interval_is_exact_if_all_or_none_are_correct(cells: int) -> None:
    """That of Clopper and Pearson: 0.794 to 1 for 16 of 16 cells, 0 to 0.206 for none of 16."""
    for right in (0, cells):
        exact = binomtest(right, cells).proportion_ci(0.95, "exact")
        interval = of_one_class(np.arange(cells) < right)
        assert interval.value == right / cells
        assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), abs=2e-4)


@pytest.mark.parametrize(("right", "cells"), [(1, 2), (3, 4), (12, 16), (15, 16), (40, 50)])
def test_otherwise_the_interval_is_close_to_the_exact_one(right: int, cells: int) -> None:
    """Never narrower, and wider by at most 0.12, since one cell fewer is drawn."""
    exact = binomtest(right, cells).proportion_ci(0.95, "exact")
    interval = of_one_class(np.arange(cells) < right)
    assert exact.low - 0.12 < interval.low < exact.low + 0.01
    assert exact.high - 0.01 < interval.high < exact.high + 0.12


def test_four_classes_of_four_correct_cells_have_a_lower_bound_of_0_70() -> None:
    """Each class has 0.398; the root of the sum of squares gives 1 - 0.602 / 2."""
    interval = share(np.ones(16), np.arange(16), np.arange(16) % 4)
    assert (interval.value, interval.high) == (1, 1)
    assert interval.low == pytest.approx(1 - (1 - 0.025 ** (1 / 4)) / 2, abs=1e-3)


def test_copies_of_a_cell_do_not_change_the_interval() -> None:
    """Thirty copies of each cell, counted as cells; counted as images they would narrow it."""
    right = np.random.default_rng(3).random(40) < 0.8
    once, often = of_one_class(right), of_one_class(right.repeat(30), np.arange(40).repeat(30))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    images = of_one_class(right.repeat(30))
    assert once.high - once.low > 4 * (images.high - images.low)


def test_one_wrong_image_does_not_narrow_the_interval() -> None:
    """Sixteen cells of twenty copies: the lower bound falls slightly, with the value."""
    codes, right = np.arange(16).repeat(20), np.ones(320)
    flawless = of_one_class(right, codes)
    right[7] = 0
    assert flawless.low - 0.01 < of_one_class(right, codes).low < flawless.low


def test_variation_within_cells_gives_a_narrower_interval_than_between() -> None:
    """Fifty cells with eight of ten images correct, against forty of fifty cells correct."""
    alike = of_one_class(np.tile(np.arange(10) < 8, 50), np.arange(50).repeat(10))
    split = of_one_class(np.arange(50) < 40)
    assert alike.high - alike.low < 0.5 * (split.high - split.low)


def test_a_class_of_one_cell_has_a_wide_interval() -> None:
    """Whatever its images; it also widens the balanced accuracy of a hundred other cells."""
    one = of_one_class(np.array([1.0, 1.0, 0.0]), np.zeros(3, np.int64))
    assert one.low < 0.03
    assert one.high > 0.95
    classes = np.array([0] * 100 + [1])
    assert share(np.ones(101), np.arange(101), classes).low == pytest.approx(0.51, abs=0.01)


def test_a_cell_of_many_images_is_one_cell() -> None:
    """One cell of a hundred images and nine of one have an effective size of 1.19."""
    assert effective_size(np.array([[100.0]] + [[1.0]] * 9))[0] == pytest.approx(1.19, abs=0.01)
    codes = np.array([0] * 100 + list(range(1, 10)))
    assert of_one_class(np.ones(109), codes).low < 0.1


def test_the_stratum_of_a_group_is_its_rarest_class() -> None:
    """Cells have one class; the two patients with class 2 form a stratum."""
    codes = np.array([0, 1, 2, 3, 3, 4, 4, 4])
    classes = np.array([0, 1, 1, 0, 2, 0, 1, 2])
    assert strata(codes, classes).tolist() == [0, 1, 1, 2, 2]


def test_patients_are_resampled_whole() -> None:
    """Sixteen patients with all four classes count as 16, not as 64 cells."""
    codes, classes = np.arange(16).repeat(4), np.tile(np.arange(4), 16)
    assert share(np.ones(64), codes, classes).low == pytest.approx(0.794, abs=1e-3)
    by_cell = share(np.ones(64), np.arange(64), classes)
    assert by_cell.low == pytest.approx(1 - 0.206 / 2, abs=1e-3)


def test_a_class_that_is_missing_from_resamples_has_an_interval() -> None:
    """One of four patients has the rare class and common ones: no NaN, and a wide interval."""
    codes = np.array([0, 0, 1, 1, 2, 2, 3])
    classes = np.array([0, 1, 0, 1, 0, 1, 2])
    resamples = Resamples(codes, classes, draws=DRAWS)
    weights = np.eye(3)[classes]
    interval = resamples.shares(weights, weights)
    assert all(one is not None and 0 <= one.low < one.high <= 1 for one in interval)


def test_a_column_without_weight_has_no_share() -> None:
    """None, next to a column that has one."""
    resamples = Resamples(np.arange(4), np.zeros(4, np.int64), draws=100)
    weights = np.column_stack([np.ones(4), np.zeros(4)])
    one, none = resamples.shares(weights, weights)
    assert one is not None
    assert none is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(0, 2), st.booleans()), min_size=1, max_size=40
    )
)
def test_an_interval_contains_its_value(images: list[tuple[int, int, bool]]) -> None:
    """0 <= low <= value <= high <= 1, for any groups."""
    groups, kinds, right = (np.array(column) for column in zip(*images, strict=True))
    codes, classes = (np.unique(x, return_inverse=True)[1] for x in (groups, kinds))
    interval = share(right, codes, classes)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.high - interval.low > 0.05
    expected = np.mean([right[classes == one].mean() for one in np.unique(classes)])
    assert interval.value == pytest.approx(expected)


def test_each_class_keeps_its_groups_when_resampled() -> None:
    """Each resample has as many cells of each class, scaled up from one fewer."""
    classes = np.array([0] * 20 + [1] * 3)
    resamples = Resamples(np.array([*range(20), 20, 20, 20]), classes, draws=100)
    sums = resamples.sums(np.eye(2)[classes])
    np.testing.assert_allclose(sums, np.tile([20.0, 3.0], (100, 1)))


def test_resampled_sums_are_those_of_weighted_images() -> None:
    """The matrix product equals a weighted sum over images, for other rows too."""
    rng = np.random.default_rng(4)
    codes = rng.permutation(np.arange(40) % 9)
    resamples = Resamples(codes, codes % 3, draws=20)
    values = rng.normal(size=(40, 2))
    weights = resamples.counts[:, resamples.codes]
    np.testing.assert_allclose(resamples.sums(values), weights @ values)
    groups = resamples.for_rows(np.arange(9))
    by_group = np.stack([values[codes == one].sum(axis=0) for one in range(9)])
    np.testing.assert_allclose(groups.sums(by_group), weights @ values)


def test_a_seed_gives_the_same_interval() -> None:
    """Two workers that score the same predictions publish the same artefact."""
    right = np.arange(10) / 10
    assert of_one_class(right, seed=5) == of_one_class(right, seed=5)
    assert of_one_class(right, seed=5) != of_one_class(right, seed=6)


def test_precision_follows_prevalence() -> None:
    """At sensitivity and specificity 0.9: 0.9 for a common class, 0.083 for a rare one."""
    nine = Interval(value=0.9, low=0.8, high=0.95)
    even, rare = (predictive_value(nine, nine, own, 1 - own) for own in (0.5, 0.01))
    assert even is not None
    assert rare is not None
    assert even.value == pytest.approx(0.9)
    assert rare.value == pytest.approx(0.009 / (0.009 + 0.099))
    # At 0.8 specificity 0.9 / 1.1 is left, at 0.8 sensitivity 0.8 / 0.9.
    assert even.low == pytest.approx(0.9 - np.hypot(0.9 - 9 / 11, 0.9 - 8 / 9))
    assert even.low < even.value < even.high


def test_a_class_that_is_never_predicted_has_no_precision() -> None:
    """If it is never predicted only at the lower bound, the precision is still defined."""
    never, always = (Interval(value=v, low=0, high=1) for v in (0.0, 1.0))
    assert predictive_value(never, always, 0.5, 0.5) is None
    always_specific = Interval(value=1, low=1, high=1)
    interval = predictive_value(always, always_specific, 0.5, 0.5)
    assert interval == Interval(value=1, low=1, high=1)


def test_the_percentile_interval_has_no_width_if_all_are_correct() -> None:
    """Therefore it serves rules and baselines only."""
    assert percentile_interval(1.0, np.ones(100)) == Interval(value=1, low=1, high=1)
