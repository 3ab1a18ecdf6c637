"""Codes of groups, and votes of the images of a cell."""

import numpy as np

from pipeline.statistics.groups import group_codes, mean_per_group


def test_group_codes_follow_the_names() -> None:
    """The same groups get the same codes in any order of the images."""
    assert group_codes(["b", "a", "b", "c"]).tolist() == [1, 0, 1, 2]


def test_the_vote_of_a_cell_is_the_mean_of_its_images() -> None:
    """Two confident images outvote three uncertain ones."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6], [0, 1]])
    voted = mean_per_group(probabilities, np.array([0, 0, 0, 0, 0, 1]))
    np.testing.assert_allclose(voted, np.array([[0.6, 0.4], [0.0, 1.0]]))
