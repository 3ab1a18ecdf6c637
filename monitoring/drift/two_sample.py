"""How far two samples of images are apart, and how far chance alone would put them.

The distance is the energy distance (Szekely & Rizzo, J. Stat. Plan. Inference 143, 2013): with
signed weights d that are positive on one sample, negative on the other and sum to zero, and D the
distances between all images, its square is -d'Dd. One formula serves a single statistic and the
whole embedding, needs no bins, and grows without bound as the samples move apart.

Its null distribution comes from the reference alone. Each draw deals the source cells into two
halves, takes a window's worth of images from one and compares it with the other, so the variation
between cells is part of what counts as chance. Half against half varies more than a window
against the whole reference; the test therefore keeps its level down to windows that show about a
third as many cells as the reference.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Values = NDArray[np.float64]
Indices = NDArray[np.intp]
Quotas = Mapping[int, int]
"""Stratum to how many images of a window are in it."""


def distances(values: Values, reference: int) -> Values:
    """Distances between all rows, in standard deviations of the reference.

    Args:
        values: (images, dimensions); the first `reference` rows are the reference.
        reference: how many rows set the scale.

    Returns:
        (images, images); divided by the square root of the dimensions.
    """
    spread = values[:reference].std(axis=0)
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
    """Weights (images,) that give a reference the class mix of a window; they sum to one."""
    weights = np.zeros(len(strata))
    for stratum, quota in quotas.items():
        inside = strata == stratum
        weights[inside] = quota / inside.sum()
    return np.asarray(weights / weights.sum())


def null_weights(
    strata: Indices, groups: Indices, quotas: Quotas, draws: int, rng: np.random.Generator
) -> Values:
    """Weights (draws, images) of windows drawn from one half of the cells against the other."""
    home = _home_strata(strata, groups)
    rows = [_draw(strata, _deal(home, rng)[groups], quotas, rng) for _ in range(draws)]
    return np.stack(rows)


def _home_strata(strata: Indices, groups: Indices) -> Indices:
    """The commonest stratum of each group: (groups,)."""
    table = np.zeros((groups.max() + 1, strata.max() + 1), dtype=np.intp)
    np.add.at(table, (groups, strata), 1)
    return np.asarray(table.argmax(axis=1))


def _deal(home: Indices, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Deal groups alternately, stratum by stratum, so that both halves hold every class."""
    order = np.lexsort((rng.random(len(home)), home))
    live = np.empty(len(home), dtype=bool)
    live[order] = (np.arange(len(home)) + rng.integers(2)) % 2 == 0
    return live


def _draw(
    strata: Indices, live: NDArray[np.bool_], quotas: Quotas, rng: np.random.Generator
) -> Values:
    """One window from the live half against the rest, with the quotas' class mix."""
    weights, total = np.zeros(len(strata)), 0
    for stratum, quota in quotas.items():
        inside = strata == stratum
        seen, rest = np.flatnonzero(inside & live), np.flatnonzero(inside & ~live)
        if len(seen) and len(rest):
            weights += np.bincount(rng.choice(seen, quota), minlength=len(strata))
            weights[rest] -= quota / len(rest)
            total += quota
    return weights / max(total, 1)
