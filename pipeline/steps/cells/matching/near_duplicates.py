"""Near-duplicate search: candidates by VLAD vector, proof by an affine map, connected components.

Two rounds, each of which compares a bounded number of pairs per image. Round one compares an image
with its nearest neighbours and joins copies of one photograph. Round two compares the resulting
groups with their nearest groups and joins photographs of one cell by a vote of a few image pairs.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
from scipy.cluster.hierarchy import DisjointSet
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from pipeline.steps.cells.matching.fingerprint import Fingerprint
from pipeline.steps.cells.matching.keypoint_vectors import vlad_vectors
from pipeline.steps.cells.matching.keypoints import Floats
from pipeline.steps.cells.matching.overlap import SAME_FIELD, Overlap, find_overlap

NEIGHBOURS, NEIGHBOUR_GROUPS = 12, 24
"""Nearest images of an image, and nearest groups of a group, that are compared."""
_VOTES, _VOTERS = 5, 60
"""Image pairs compared per pair of groups, and images per group from which they are chosen."""
_TREES, _SEARCH_K = 32, 4000
"""Random trees of the index, and vectors inspected per search: all of a few thousand vectors."""
_SEED = 7
_BATCH = 128

_log = logging.getLogger(__name__)

IndexPair = tuple[int, int]
Predicate = Callable[[Sequence[Overlap]], bool]


class MatchedPair(NamedTuple):
    """Two images that show one cell, by their index in a sequence."""

    one: int
    other: int
    inliers: int
    """Keypoints that agree on the affine map."""


def find_matches(images: Sequence[Fingerprint], min_inliers: int) -> list[MatchedPair]:
    """Pairs of images proven to show one cell, also if rotated, mirrored, shifted or sheared.

    Args:
        images: n fingerprints.
        min_inliers: fewest keypoints that one affine map must bring together.

    Returns:
        A spanning forest of the groups: at most n - 1 pairs.
    """
    if not images:
        return []
    forest = _MatchForest(images, min_inliers)
    # On matrices of a few hundred rows, one BLAS thread is five times faster than several.
    with threadpool_limits(limits=1, user_api="blas"):
        vectors = vlad_vectors([image.keypoints for image in images])
        forest.grow(([pair] for pair in nearest_pairs(vectors, NEIGHBOURS)), _are_copies)
        _log.info("near duplicates: %d matches after round one", len(forest.matches))
        roots = component_roots(len(images), forest.matches)
        forest.grow(
            pairs_between_groups(vectors, roots),
            lambda overlaps: _are_copies(overlaps) or _majority_same_nucleus(overlaps),
        )
    return forest.matches


def _are_copies(overlaps: Sequence[Overlap]) -> bool:
    """Whether images show nearly the same field: copies of a photograph, perhaps of two cells."""
    return any(overlap.share >= SAME_FIELD for overlap in overlaps)


def _majority_same_nucleus(overlaps: Sequence[Overlap]) -> bool:
    """Whether the nuclei coincide in most overlaps; a single overlap can be misjudged."""
    return 2 * sum(overlap.same_nucleus for overlap in overlaps) > len(overlaps)


def component_roots(count: int, matches: Iterable[MatchedPair]) -> list[int]:
    """Smallest index in the connected component of each of `count` items, joined by matches."""
    one, other = np.array([match[:2] for match in matches], np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    first: list[int] = np.unique(labels, return_index=True)[1][labels].tolist()
    return first


def nearest_pairs(vectors: Floats, count: int) -> list[IndexPair]:
    """Pairs of each vector and its `count` approximate nearest neighbours, closest pairs first.

    Args:
        vectors: (n, d).
        count: neighbours of a vector.
    """
    if len(vectors) < 2:
        return []
    index = cv2.ANNIndex.create(vectors.shape[1], cv2.ANNINDEX_DIST_EUCLIDEAN)
    index.setSeed(_SEED)
    index.addItems(vectors)
    index.build(_TREES)
    found, distances = index.knnSearch(vectors, min(count + 1, len(vectors)), search_k=_SEARCH_K)
    one = np.repeat(np.arange(len(vectors)), found.shape[1])
    other = found.ravel().astype(np.intp)
    pairs = np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distances.ravel()))
    distinct = pairs[order][(one != other)[order]]
    first = np.unique(distinct, axis=0, return_index=True)[1]
    return [(int(one), int(other)) for one, other in distinct[np.sort(first)]]


def pairs_between_groups(vectors: Floats, roots: Sequence[int]) -> Iterator[list[IndexPair]]:
    """Yield the most similar image pairs of each two neighbouring groups, closest groups first.

    Args:
        vectors: unit vectors (n, d); a group is as close as its mean vector.
        roots: group of each image (n,), from `component_roots`.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for item, root in enumerate(roots):
        members[root].append(item)
    groups = list(members.values())
    means = np.stack([vectors[group].mean(axis=0) for group in groups])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)
    for one, other in nearest_pairs(means, NEIGHBOUR_GROUPS):
        left, right = groups[one][:_VOTERS], groups[other][:_VOTERS]
        similarity = vectors[left] @ vectors[right].T
        best = np.argsort(-similarity, axis=None, kind="stable")[:_VOTES].tolist()
        yield [(left[k // len(right)], right[k % len(right)]) for k in best]


class _MatchForest:
    """The matches found so far; none closes a cycle."""

    def __init__(self, images: Sequence[Fingerprint], min_inliers: int) -> None:
        self.matches: list[MatchedPair] = []
        self._images, self._min_inliers = images, min_inliers
        self._joined = DisjointSet(range(len(images)))

    def grow(self, candidates: Iterable[list[IndexPair]], proves: Predicate) -> None:
        """Compare the image pairs of each candidate; add the best if `proves` accepts the overlaps.

        Groups that are already joined are skipped, so that most candidates cost nothing.
        """

        def compare(pairs: list[IndexPair]) -> MatchedPair | None:
            found = {pair: self._overlap(*pair) for pair in pairs}
            overlaps = {pair: overlap for pair, overlap in found.items() if overlap is not None}
            if not overlaps or not proves(list(overlaps.values())):
                return None
            best = max(overlaps, key=lambda pair: overlaps[pair].inliers)
            return MatchedPair(*best, overlaps[best].inliers)

        separate = (pairs for pairs in candidates if not self._joined.connected(*pairs[0]))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while batch := list(islice(separate, _BATCH)):
                for match in pool.map(compare, batch):
                    if match is not None and self._joined.merge(match.one, match.other):
                        self.matches.append(match)

    def _overlap(self, one: int, other: int) -> Overlap | None:
        return find_overlap(self._images[one], self._images[other], self._min_inliers)
