"""Scores whose unit of evidence is the cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.modeling.metrics import (
    balanced_accuracy,
    calibration_error,
    confusion,
    group_bootstrap,
    group_codes,
    sensitivities,
    vote,
)

ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


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
    found = sensitivities(truth, predicted, 4, np.ones(len(pairs)))
    for index in range(4):
        row = counts[index].sum()
        if row:
            assert found[index] == pytest.approx(counts[index, index] / row)
        else:
            assert np.isnan(found[index])


def test_balanced_accuracy_does_not_follow_the_large_class() -> None:
    """Whoever always says the common class gets one over the number of classes."""
    truth, predicted = columns([(0, 0)] * 98 + [(1, 0)] * 2)
    assert balanced_accuracy(truth, predicted, 2, np.ones(100)) == pytest.approx(0.5)


@given(ANSWERS, st.data())
def test_a_weight_is_a_number_of_copies(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    """Weighing images by integers is the same as repeating them."""
    truth, predicted = columns(pairs)
    copies = st.lists(st.integers(1, 3), min_size=len(pairs), max_size=len(pairs))
    times = np.array(data.draw(copies), np.int64)
    repeated = balanced_accuracy(
        truth.repeat(times), predicted.repeat(times), 4, np.ones(times.sum())
    )
    assert balanced_accuracy(truth, predicted, 4, times.astype(float)) == pytest.approx(repeated)


def test_perfect_confidence_has_no_calibration_error() -> None:
    """Certain and right, or as often right as it says: nothing to correct."""
    assert calibration_error(np.ones(8), np.ones(8, bool)) == 0
    assert calibration_error(np.full(4, 0.75), np.array([True, True, True, False])) == 0


def test_overconfidence_is_the_gap() -> None:
    """Nine tenths sure and half right is four tenths off; bins are weighed by their images."""
    right = np.array([True, False] * 5)
    assert calibration_error(np.full(10, 0.9), right) == pytest.approx(0.4)
    both = calibration_error(np.r_[np.full(10, 0.9), np.ones(30)], np.r_[right, np.ones(30, bool)])
    assert both == pytest.approx(0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_is_a_share(answers: list[tuple[float, bool]]) -> None:
    """Between 0 and 1, at the edges of the bins too."""
    confidence, correct = zip(*answers, strict=True)
    assert 0 <= calibration_error(np.array(confidence), np.array(correct)) <= 1


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
    found = group_bootstrap(
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
        found = group_bootstrap(
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

    group_bootstrap(score, codes, truth, draws=100, seed=0)
    assert set(present) == {3.0}


def test_a_seed_repeats_its_interval() -> None:
    """Two workers that score the same answers publish the same artefact."""
    codes = np.arange(10)
    values = codes / 10
    found = [
        group_bootstrap(
            lambda weight: float(np.average(values, weights=weight)),
            codes,
            np.zeros(10, np.int64),
            draws=100,
            seed=5,
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]
