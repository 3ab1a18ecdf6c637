"""Which answers a person should see: the rule is fitted here, and its worth measured."""

import numpy as np

from pipeline.config import ReviewConfig
from pipeline.contract.decision import ReviewRule
from pipeline.errors import InvalidInputError
from pipeline.statistics.metrics import Bools, Floats


def fit_review(
    centre: Floats,
    held_distances: Floats,
    held_probabilities: Floats,
    held_weights: Floats,
    config: ReviewConfig,
) -> ReviewRule:
    """Thresholds at which held-out cells are accepted as often as the config asks.

    Distances are to one mean of all training images: that tells another laboratory better than one
    of each class (Lee et al., NeurIPS 2018) does here. The distance is limited first; confidence
    then gives up what is left of the coverage.

    Args:
        centre: mean embedding of the training images (embedding_size,).
        held_distances: to the mean of what was trained on, of cells that were not (m,).
        held_probabilities: calibrated (m, classes).
        held_weights: evidence of each held-out image (m,).
        config: coverage and quantile.

    Raises:
        InvalidInputError: when there are no held-out images.
    """
    if not len(held_distances):
        raise InvalidInputError(
            "no review rule can be fitted", expected="held-out images", received="none"
        )
    limit = max(
        quantile(held_distances, config.distance_quantile, held_weights), np.finfo(float).eps
    )
    # Images beyond the distance limit rank last, whatever their confidence, as in the rule.
    sureness = np.where(held_distances <= limit, held_probabilities.max(axis=1), -1.0)
    least = quantile(sureness, 1 - config.coverage, held_weights)
    return ReviewRule(
        min_confidence=round(min(max(least, 0.0), 0.999), 6),
        max_distance=round(float(limit), 6) or float(limit),
        centre=tuple(round(float(value), 6) for value in centre),
    )


def quantile(values: Floats, share: float, weights: Floats) -> float:
    """The least value (n,) at or below which `share` of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order], dtype=np.float64)
    place = np.searchsorted(reached, share * reached[-1] * (1 - 1e-12))
    return float(values[order][min(int(place), len(values) - 1)])


def least_uncertain(
    uncertainties: Floats, correct: Bools, weights: Floats, coverages: Floats
) -> Bools:
    """Which images (n, m) are accepted when a share of the weight is, in order of uncertainty.

    Args:
        uncertainties: from `decide` (n,); among ties wrong predictions count first (pessimistic).
        correct: whether the first class is right (n,).
        weights: of the images (n,).
        coverages: shares of the weight (m,), above 0.
    """
    order = np.lexsort((correct, uncertainties))
    taken = np.cumsum(weights[order], dtype=np.float64)
    last = np.searchsorted(taken, coverages * taken[-1] * (1 - 1e-12))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return np.asarray(rank[:, None] <= last)


def auroc(above: Floats, below: Floats, above_weights: Floats, below_weights: Floats) -> float:
    """Chance that one of `above` (n,) is larger than one of `below` (m,); ties count half.

    That is the area under the receiver operating characteristic (Hanley & McNeil, 1982).
    """
    order = np.argsort(below, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(below_weights[order])])
    less, upto = (np.searchsorted(below[order], above, side=side) for side in ("left", "right"))
    wins = (total[less] + total[upto]) / 2
    return float(above_weights @ wins / (above_weights.sum() * total[-1]))
