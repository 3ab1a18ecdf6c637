"""The review rule, and accuracy by share of accepted images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.review_targets import ReviewConfig
from pipeline.contract.decision import ReviewRule
from pipeline.errors import InvalidInputError
from pipeline.statistics.review_rule import (
    auroc,
    fit_review_rule,
    least_uncertain,
    weighted_quantile,
)

CONFIG = ReviewConfig(coverage=0.8, distance_quantile=0.95)


def held_out(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (n, 6) of unit variance and two probabilities each."""
    rng = np.random.default_rng(2)
    first = rng.uniform(0.5, 1, count)
    return rng.normal(size=(count, 6)), np.stack([first, 1 - first], axis=1)


def fitted(embeddings: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> ReviewRule:
    """A rule whose training images are the held-out ones."""
    centre = np.average(embeddings, axis=0, weights=weights)
    distances = np.linalg.norm(embeddings - centre, axis=1)
    return fit_review_rule(centre, distances, probabilities, weights, CONFIG)


def test_the_rule_accepts_the_configured_coverage() -> None:
    """80 % of held-out weight passes both limits, 95 % the distance limit."""
    embeddings, probabilities = held_out(5000)
    rule = fitted(embeddings, probabilities, np.ones(5000))
    near = np.array([rule.distance(row) for row in embeddings]) <= rule.max_distance
    confident = probabilities.max(axis=1) >= rule.min_confidence
    assert near.mean() == pytest.approx(0.95, abs=0.002)
    assert (near & confident).mean() == pytest.approx(0.8, abs=0.002)


def test_copies_of_a_cell_do_not_move_the_rule() -> None:
    """The images of a cell share its weight."""
    embeddings, probabilities = held_out(300)
    times = np.where(np.arange(300) % 5 == 0, 40, 1)
    weights = (1 / times).repeat(times)
    once = fitted(embeddings, probabilities, np.ones(300))
    often = fitted(embeddings.repeat(times, 0), probabilities.repeat(times, 0), weights)
    assert often.min_confidence == pytest.approx(once.min_confidence, abs=0.01)
    assert often.max_distance == pytest.approx(once.max_distance, abs=0.05)
    np.testing.assert_allclose(often.centre, once.centre, atol=1e-5)


def test_a_rule_needs_held_out_images() -> None:
    """Without them there is an error, not a default threshold."""
    with pytest.raises(InvalidInputError, match="cannot fit the review rule"):
        fit_review_rule(np.zeros(6), np.empty(0), np.empty((0, 2)), np.empty(0), CONFIG)


def test_a_model_with_probabilities_of_one_gets_a_rule() -> None:
    """Probabilities of 1 and equal embeddings are accepted; another embedding exceeds the limit."""
    equal, certain = np.ones((4, 3)), np.tile([1.0, 0.0], (4, 1))
    rule = fitted(equal, certain, np.ones(4))
    assert rule.min_confidence < 1
    assert rule.distance([1, 1, 1]) <= rule.max_distance < rule.distance([1, 1, 1.1])


def test_a_weighted_quantile() -> None:
    """The first value carries three quarters of the weight."""
    values, weights = np.array([5.0, 1.0]), np.array([1.0, 3.0])
    assert [weighted_quantile(values, share, weights) for share in (0.5, 0.75, 0.76, 1.0)] == [
        1,
        1,
        5,
        5,
    ]


def test_the_least_uncertain_are_accepted_first() -> None:
    """Up to the coverage, in any order of the images."""
    uncertainties, correct = np.array([0.9, 0.1, 0.6, 0.2]), np.array([True, True, False, True])
    coverages = np.array([0.25, 0.5, 0.75, 1.0])
    accepted = least_uncertain(uncertainties, correct, np.ones(4), coverages)
    assert accepted.T.astype(int).tolist() == [[0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 1], [1] * 4]
    heavy = least_uncertain(uncertainties, correct, np.array([0.0, 1.0, 2.0, 1.0]), coverages)
    assert heavy.T.astype(int).tolist() == [[0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 1, 1], [0, 1, 1, 1]]


def test_among_equal_uncertainties_wrong_predictions_come_first() -> None:
    """In any order of the images."""
    for correct in ([True, False], [False, True]):
        accepted = least_uncertain(np.zeros(2), np.array(correct), np.ones(2), np.array([0.5]))
        assert accepted[:, 0].tolist() == [not right for right in correct]


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
    st.lists(st.integers(0, 5), min_size=1, max_size=12),
)
def test_auroc_counts_pairs(above: list[int], below: list[int]) -> None:
    """A pair in order counts 1, a tie 0.5."""
    wins = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    area = auroc(
        np.array(above, float), np.array(below, float), np.ones(len(above)), np.ones(len(below))
    )
    assert area == pytest.approx(wins / len(above) / len(below))


def test_auroc_uses_the_weights_of_both_sides() -> None:
    """An image of weight 2 counts as two images."""
    above, below = np.array([3.0, 1.0]), np.array([2.0, 0.0])
    weighted = auroc(above, below, np.array([2.0, 1.0]), np.array([1.0, 3.0]))
    repeated = auroc(
        np.array([3.0, 3.0, 1.0]), np.array([2.0, 0.0, 0.0, 0.0]), np.ones(3), np.ones(4)
    )
    assert weighted == pytest.approx(repeated)
