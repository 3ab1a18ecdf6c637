"""Fits the limits of the review rule, and measures how well uncertainty finds mistakes (AUROC)."""

import numpy as np

from pipeline.config.review_targets import ReviewConfig
from pipeline.contract.decision import ReviewRule
from pipeline.errors import InvalidInputError
from pipeline.statistics.groups import Bools, Floats


def fit_review_rule(
    centre: Floats,
    held_distances: Floats,
    held_probabilities: Floats,
    held_weights: Floats,
    config: ReviewConfig,
) -> ReviewRule:
    """Fit the limits of accept and review to accept the configured share of held-out images.

    The distance limit is set first, at its quantile. The confidence limit is then set so that both
    together accept the coverage. Distances are to one mean of all training images: here that
    detects another laboratory better than class means do (Lee et al., NeurIPS 2018).

    Args:
        centre: mean embedding of the training images (embedding_size,).
        held_distances: of held-out images to that mean (m,).
        held_probabilities: calibrated (m, classes).
        held_weights: of held-out images (m,), above 0.
        config: coverage and distance quantile.

    Raises:
        InvalidInputError: when there are no held-out images.
    """
    if not len(held_distances):
        raise InvalidInputError(
            "cannot fit the review rule", expected="held-out images", received="none"
        )
    quantile = weighted_quantile(held_distances, config.distance_quantile, held_weights)
    limit = max(quantile, np.finfo(float).eps)
    # Images beyond the distance limit rank last, whatever their confidence, as in the rule.
    confidence = np.where(held_distances <= limit, held_probabilities.max(axis=1), -1.0)
    lowest = weighted_quantile(confidence, 1 - config.coverage, held_weights)
    return ReviewRule(
        min_confidence=round(min(max(lowest, 0.0), 0.999), 6),
        max_distance=round(float(limit), 6) or float(limit),
        centre=tuple(round(float(value), 6) for value in centre),
    )


def weighted_quantile(values: Floats, share: float, weights: Floats) -> float:
    """Smallest of the values (n,) such that values up to it carry `share` of the weight."""
    # Ten weights of 0.1 sum to slightly less than 1: without a tolerance the next value is taken.
    tolerant = share * (1 - 1e-12)
    return float(np.quantile(values, tolerant, weights=weights, method="inverted_cdf"))


def least_uncertain(
    uncertainties: Floats, correct: Bools, weights: Floats, coverages: Floats
) -> Bools:
    """Whether each image is among the least uncertain at each coverage (n, m).

    Args:
        uncertainties: from `decide` (n,); among ties wrong predictions come first (pessimistic).
        correct: whether the predicted class is the true one (n,).
        weights: of the images (n,).
        coverages: shares of the weight to accept (m,), above 0.
    """
    order = np.lexsort((correct, uncertainties))
    cumulative = np.cumsum(weights[order], dtype=np.float64)
    last = np.searchsorted(cumulative, coverages * cumulative[-1] * (1 - 1e-12))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[:, None] <= last)


def auroc(above: Floats, below: Floats, above_weights: Floats, below_weights: Floats) -> float:
    """Area under the ROC curve: probability that one of `above` (n,) exceeds one of `below` (m,).

    Ties count half (Hanley & McNeil, 1982). Not scikit-learn's `roc_auc_score`: it takes 20 times
    as long, and each interval needs a thousand.
    """
    order = np.argsort(below, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(below_weights[order])])
    first, last = (np.searchsorted(below[order], above, side=side) for side in ("left", "right"))
    wins = (total[first] + total[last]) / 2
    return float(above_weights @ wins / (above_weights.sum() * total[-1]))
