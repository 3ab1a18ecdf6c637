"""Counts and votes of images that come in groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics.metrics import confusion, group_codes, sensitivities, vote

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
    found = sensitivities(counts)
    for index in range(4):
        row = counts[index].sum()
        if row:
            assert found[index] == pytest.approx(counts[index, index] / row)
        else:
            assert np.isnan(found[index])


def test_group_codes_follow_the_names() -> None:
    """The same groups get the same codes in whatever order images come."""
    assert group_codes(["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]


def test_a_cell_votes_with_the_mean_of_its_images() -> None:
    """Two sure images outvote three that hesitate."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6], [0, 1]])
    voted = vote(probabilities, np.array([0, 0, 0, 0, 0, 1]))
    np.testing.assert_allclose(voted, np.array([[0.6, 0.4], [0.0, 1.0]]))
