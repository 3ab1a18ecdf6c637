"""Scores whose unit of evidence is the cell."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.modeling.metrics import (
    Floats,
    Interval,
    Ints,
    Resamples,
    confusion,
    group_codes,
    interval,
    rates,
    vote,
)

ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def bootstrap(
    score: Callable[[Floats], float], codes: Ints, strata: Ints, *, draws: int, seed: int
) -> Interval:
    """A score of the images' weights with its interval."""
    drawn = Resamples(codes, strata, draws=draws, seed=seed).each(score)
    return interval(score(np.ones(len(codes))), drawn)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = zip(*pairs, strict=True)
    return np.array(truth, np.int64), np.array(predicted, np.int64)


def test_confusion_counts_truth_by_row() -> None:
    """A row is what the images are, a column what they were called."""
    truth, predicted = columns([(0, 0), (0, 1), (0, 1), (2, 0)])
    assert confusion(truth, predicted, 3).tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 0]]


@given(ANSWERS)
def test_confusion_and_sensitivities_agree(pairs: list[tuple[int, int]]) -> None:
    """The diagonal over its row is the sensitivity, and an absent class has none."""
    truth, predicted = columns(pairs)
    counts = confusion(truth, predicted, 4)
    assert counts.sum() == len(pairs)
    found = rates(counts, np.full(4, 1 / 4)).sensitivity
    for index in range(4):
        row = counts[index].sum()
        if row:
            assert found[index] == pytest.approx(counts[index, index] / row)
        else:
            assert np.isnan(found[index])


def test_precision_follows_prevalence_and_sensitivity_does_not() -> None:
    """Nine in ten found and one in ten wrongly named: common classes are right when named."""
    counts = np.array([[90, 10], [100, 900]])
    even, rare = (rates(counts, np.array(shares)) for shares in ([0.5, 0.5], [0.01, 0.99]))
    np.testing.assert_allclose(even.sensitivity, [0.9, 0.9])
    np.testing.assert_allclose(even.specificity, [0.9, 0.9])
    np.testing.assert_allclose(even.precision, [0.9, 0.9])
    np.testing.assert_allclose(rare.sensitivity, [0.9, 0.9])
    assert rare.precision[0] == pytest.approx(0.009 / (0.009 + 0.099))


def test_specificity_is_over_the_other_classes_alike() -> None:
    """A class with many images does not outvote another in what is wrongly named."""
    counts = np.array([[10, 0, 0], [2, 8, 0], [0, 0, 1000]])
    assert rates(counts, np.full(3, 1 / 3)).specificity[0] == pytest.approx(0.9)


def test_an_absent_class_has_no_figures() -> None:
    """Neither sensitivity, nor a precision when nothing is named it, and it spoils no other."""
    found = rates(np.array([[4, 1, 0], [0, 5, 0], [0, 0, 0]]), np.full(3, 1 / 3))
    assert np.isnan([found.sensitivity[2], found.precision[2]]).all()
    assert found.precision[0] == pytest.approx(1)
    assert found.specificity[:2] == pytest.approx([1, 0.8])


def test_resampled_sums_and_confusions_are_those_of_weighted_images() -> None:
    """A matrix product gives what scoring each resample by itself would."""
    rng = np.random.default_rng(4)
    codes = rng.permutation(np.arange(40) % 9)
    truth, said = rng.integers(0, 3, (2, 40))
    resamples = Resamples(codes, truth, draws=20)
    values = rng.normal(size=(40, 2))
    weights = resamples.times[:, codes]
    np.testing.assert_allclose(resamples.sums(values), weights @ values)
    for weight, counts in zip(weights, resamples.confusions(truth, said, 3), strict=True):
        place = truth * 3 + said
        np.testing.assert_allclose(counts.ravel(), np.bincount(place, weight, minlength=9))


def test_group_codes_follow_the_names() -> None:
    """The same groups get the same codes in whatever order images come."""
    assert group_codes(["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]


def test_a_cell_votes_with_the_mean_of_its_images() -> None:
    """Two sure images outvote three that hesitate."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6], [0, 1]])
    voted = vote(probabilities, np.array([0, 0, 0, 0, 0, 1]))
    np.testing.assert_allclose(voted, np.array([[0.6, 0.4], [0.0, 1.0]]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.booleans()), min_size=2, max_size=40))
def test_an_interval_contains_its_value(images: list[tuple[int, bool]]) -> None:
    """Low, value and high are in order, whatever the groups look like."""
    groups, right = zip(*images, strict=True)
    codes = group_codes([str(group) for group in groups])
    correct = np.array(right, float)
    found = bootstrap(
        lambda weight: float(np.average(correct, weights=weight)),
        codes,
        np.zeros(len(codes), np.int64),
        draws=400,
        seed=0,
    )
    assert 0 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1
    assert found.value == pytest.approx(correct.mean())


def test_copies_of_a_cell_are_no_evidence() -> None:
    """Thirty copies of each cell leave the interval as wide as without them; images would not."""
    rng = np.random.default_rng(3)
    cells = (rng.random(40) < 0.8).astype(float)
    images = cells.repeat(30)

    def width(values: np.ndarray, codes: np.ndarray) -> float:
        found = bootstrap(
            lambda weight: float(np.average(values, weights=weight)),
            codes,
            np.zeros(len(codes), np.int64),
            draws=1000,
            seed=0,
        )
        return found.high - found.low

    by_cell = width(images, np.arange(40).repeat(30))
    assert by_cell == pytest.approx(width(cells, np.arange(40)))
    assert by_cell > 4 * width(images, np.arange(1200))


def test_each_class_keeps_its_groups_when_resampled() -> None:
    """A class of one cell is in every resample: its sensitivity has a value in each."""
    truth = np.array([0] * 20 + [1] * 3)
    codes = np.array([*range(20), 20, 20, 20])
    present = []

    def score(weight: np.ndarray) -> float:
        present.append(weight[truth == 1].sum())
        return 0.5

    bootstrap(score, codes, truth, draws=100, seed=0)
    assert set(present) == {3.0}


def test_a_seed_repeats_its_interval() -> None:
    """Two workers that score the same answers publish the same artefact."""
    codes = np.arange(10)
    values = codes / 10
    found = [
        bootstrap(
            lambda weight: float(np.average(values, weights=weight)),
            codes,
            np.zeros(10, np.int64),
            draws=100,
            seed=5,
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]
