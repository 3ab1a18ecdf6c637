"""Energy distance between two samples of images, and its null distribution.

Energy distance: Szekely & Rizzo, J. Stat. Plan. Inference 143, 2013. Let D be the distances between
all images, and d signed weights that sum to zero, positive on one sample and negative on the other:
the squared energy distance is -d'Dd. The formula covers a single statistic and the whole embedding,
needs no bins, and grows without bound as the samples move apart.

The null distribution comes from the reference alone. Each draw splits the source cells into two
halves, samples a window of images from one half and compares it with the other half: the null
distribution includes the variation between cells. Half against half varies more than a window
against the whole reference, so the test keeps its level for windows of at least about a third as
many cells as the reference.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Values = NDArray[np.float64]
Indices = NDArray[np.intp]
Quotas = Mapping[int, int]
"""Stratum to its number of images in a window."""


def distances(values: Values, n_reference: int) -> Values:
    """Euclidean distances between all rows, in standard deviations of the reference.

    Args:
        values: (images, dimensions); the first `n_reference` rows are the reference.
        n_reference: number of rows that set the scale.

    Returns:
        (images, images); divided by the square root of the dimensions.
    """
    spread = values[:n_reference].std(axis=0)
    scaled = values / np.where(spread > 0, spread, 1.0)
    return np.asarray(cdist(scaled, scaled) / np.sqrt(values.shape[1]))


def energy(between: Values, weights: Values) -> Values:
    """Energy distances, one per row of weights.

    Args:
        between: (images, images) distances.
        weights: (rows, images), each row summing to zero.

    Returns:
        (rows,), 0 or more.
    """
    squared = -np.einsum("ri,ri->r", weights @ between, weights)
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))


def matched_weights(strata: Indices, quotas: Quotas) -> Values:
    """Weights (images,) that give the reference the class mix of a window; their sum is 1."""
    weights = np.zeros(len(strata))
    for stratum, quota in quotas.items():
        inside = strata == stratum
        weights[inside] = quota / inside.sum()
    return np.asarray(weights / weights.sum())


def null_weights(
    strata: Indices, groups: Indices, quotas: Quotas, draws: int, rng: np.random.Generator
) -> Values:
    """Signed weights (draws, images): windows from one random half of the cells minus the other."""
    modal = _modal_strata(strata, groups)
    rows = [_draw(strata, _split(modal, rng)[groups], quotas, rng) for _ in range(draws)]
    return np.stack(rows)


def _modal_strata(strata: Indices, groups: Indices) -> Indices:
    """Most frequent stratum of each group (groups,)."""
    table = np.zeros((groups.max() + 1, strata.max() + 1), dtype=np.intp)
    np.add.at(table, (groups, strata), 1)
    return np.asarray(table.argmax(axis=1))


def _split(modal: Indices, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Assign groups to two random halves (True, False), evenly within each stratum."""
    order = np.lexsort((rng.random(len(modal)), modal))
    live = np.empty(len(modal), dtype=bool)
    live[order] = (np.arange(len(modal)) + rng.integers(2)) % 2 == 0
    return live


def _draw(
    strata: Indices, live: NDArray[np.bool_], quotas: Quotas, rng: np.random.Generator
) -> Values:
    """Draw a window: signed weights (images,) of the live half minus the other half."""
    weights, total = np.zeros(len(strata)), 0
    for stratum, quota in quotas.items():
        inside = strata == stratum
        drawn, rest = np.flatnonzero(inside & live), np.flatnonzero(inside & ~live)
        if len(drawn) and len(rest):
            weights += np.bincount(rng.choice(drawn, quota), minlength=len(strata))
            weights[rest] -= quota / len(rest)
            total += quota
    return weights / max(total, 1)
