"""Which images show one cell: candidates by signature, proof by correlation, then union."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipeline.steps.fingerprint import ANGLES, RINGS, Fingerprint, Floats

NEIGHBOURS = 24
"""Candidates of an image; copies that are no direct neighbours are linked through others."""
_DIMENSIONS = 24
"""Principal components of the signatures that neighbours are searched in."""
_MIN_OVERLAP = 0.4
"""Least share of the field, by area, that both images must show."""
_BLOCK = 2000
_PCA_SAMPLE = 3000

Indices = NDArray[np.intp]


def groups_of(prints: Fingerprint, min_similarity: float) -> list[int]:
    """Group images that show the same cell, perhaps turned, mirrored, shifted or sheared.

    Args:
        prints: fingerprints of n images, stacked.
        min_similarity: least correlation of two fields, 0 to 1.

    Returns:
        For each image the index of the first image of its group.
    """
    count = len(prints.field)
    left, right = candidates(prints.signature)
    close = similarity(prints, left, right) >= min_similarity
    return unite(count, zip(left[close].tolist(), right[close].tolist(), strict=True))


def candidates(signatures: Floats) -> tuple[Indices, Indices]:
    """Pairs (i < j) of images near each other: at most n * NEIGHBOURS, never all of them."""
    count = len(signatures)
    if count < 2:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    centred = signatures - signatures.mean(axis=0)
    sample = centred[:: max(1, count // _PCA_SAMPLE)]
    axes = np.linalg.svd(sample, full_matrices=False)[2][:_DIMENSIONS]
    places = centred @ axes.T
    near = cKDTree(places).query(places, k=min(NEIGHBOURS + 1, count))[1]
    first = np.repeat(np.arange(count), near.shape[1])
    second = near.ravel()
    pairs = np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1)
    distinct = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return distinct[:, 0], distinct[:, 1]


def similarity(prints: Fingerprint, left: Indices, right: Indices) -> Floats:
    """Largest correlation of pairs of fields over all turns and mirrors, -1 to 1: (pairs,).

    Only where both photographs reach counts (masked correlation: Padfield, IEEE Trans. Image
    Processing 21, 2012); turns that leave too little of that are not tried.
    """
    length = np.sqrt((np.arange(RINGS, dtype=np.float32) + 0.5) / RINGS)[:, None]
    seen = prints.seen * length
    terms = (seen, prints.field * seen, prints.field**2 * seen)
    spectra = [np.fft.rfft(term).astype(np.complex64) for term in terms]
    enough = _MIN_OVERLAP * float((length**2).sum()) * ANGLES
    best = np.full(len(left), -1.0, np.float32)
    for start in range(0, len(left), _BLOCK):
        block = slice(start, start + _BLOCK)
        one = [spectrum[left[block]] for spectrum in spectra]
        other = [spectrum[right[block]] for spectrum in spectra]
        turned = _correlate(one, [spectrum.conj() for spectrum in other], enough)
        best[block] = np.maximum(turned, _correlate(one, other, enough))
    return best


def _correlate(
    one: Sequence[NDArray[np.complex64]], other: Sequence[NDArray[np.complex64]], enough: float
) -> Floats:
    def shifted(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> Floats:
        return np.asarray(np.fft.irfft((a * b).sum(axis=1), n=ANGLES), dtype=np.float32)

    overlap = shifted(one[0], other[0])
    safe = np.maximum(overlap, 1e-3)
    sum_one, sum_other = shifted(one[1], other[0]), shifted(one[0], other[1])
    power_one = shifted(one[2], other[0]) - sum_one**2 / safe
    power_other = shifted(one[0], other[2]) - sum_other**2 / safe
    shared = shifted(one[1], other[1]) - sum_one * sum_other / safe
    score = shared / np.sqrt(np.maximum(power_one, 1e-3) * np.maximum(power_other, 1e-3))
    best: Floats = np.where(overlap > enough, score, np.float32(-1.0)).max(axis=-1)
    return best


def unite(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Union-find: for each of `count` items the smallest item it is linked to, directly or not."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return [root(item) for item in range(count)]
