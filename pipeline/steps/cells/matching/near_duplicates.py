"""Which images show one cell: candidates by embedding, proof by an affine map, then union.

Two rounds, each of which looks at a bounded number of pairs per image. The first compares an image
with those nearest to it and joins copies of one photograph. The second compares the groups so made
with those nearest to them and joins photographs of one cell; a few images of each have a vote.
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

from pipeline.steps.cells.matching.keypoint_vectors import embeddings
from pipeline.steps.cells.matching.keypoints import Floats
from pipeline.steps.cells.matching.overlap import SAME_FIELD, Overlap, overlap
from pipeline.steps.cells.matching.view import View

NEIGHBOURS, NEIGHBOUR_GROUPS = 12, 24
"""Images that an image, and groups that a group, is compared with."""
_VOTES, _VOTERS = 5, 60
"""Pairs of images that are compared for a pair of groups, and members they are chosen among."""
_TREES, _INSPECTED = 32, 4000
"""Random trees, and vectors a search looks at: all of a few thousand, a fixed number of more."""
_SEED = 7
_BATCH = 128

_log = logging.getLogger(__name__)

Pair = tuple[int, int]
Rule = Callable[[Sequence[Overlap]], bool]


class Tie(NamedTuple):
    """Two images that show one cell, by their place in a sequence."""

    one: int
    other: int
    inliers: int
    """Keypoints that agree on it."""


def find_ties(images: Sequence[View], min_inliers: int) -> list[Tie]:
    """Pairs of images proven to show one cell, perhaps turned, mirrored, shifted or sheared.

    Args:
        images: n of them.
        min_inliers: fewest keypoints of two images that one affine map must bring together.

    Returns:
        No more than it takes to hold each group together: at most n - 1.
    """
    if not images:
        return []
    forest = _Forest(images, min_inliers)
    # Matrices of a few hundred rows: threads of the linear algebra wait for each other, 5-fold.
    with threadpool_limits(limits=1, user_api="blas"):
        vectors = embeddings([image.keypoints for image in images])
        forest.grow(([pair] for pair in nearest(vectors, NEIGHBOURS)), _copies)
        _log.info("near duplicates: %d ties after the first round", len(forest.ties))
        roots = unite(len(images), forest.ties)
        forest.grow(between_groups(vectors, roots), lambda found: _copies(found) or _voted(found))
    return forest.ties


def _copies(found: Sequence[Overlap]) -> bool:
    """Whether images show nearly the same field: copies of one photograph, perhaps of two cells."""
    return any(one.share >= SAME_FIELD for one in found)


def _voted(found: Sequence[Overlap]) -> bool:
    """Whether most images that overlap have nucleus on nucleus; single ones are misjudged."""
    return 2 * sum(one.same_nucleus for one in found) > len(found)


def unite(count: int, ties: Iterable[Tie]) -> list[int]:
    """For each of `count` items the smallest item it is linked to, directly or not."""
    pairs = np.array([(tie.one, tie.other) for tie in ties], np.intp).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    labels = connected_components(links, directed=False)[1]
    return [int(item) for item in np.unique(labels, return_index=True)[1][labels]]


def nearest(vectors: Floats, count: int) -> list[Pair]:
    """Pairs of each vector and its `count` nearest (about; by random trees), nearest pairs first.

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
    found, distances = index.knnSearch(vectors, min(count + 1, len(vectors)), search_k=_INSPECTED)
    one = np.repeat(np.arange(len(vectors)), found.shape[1])
    other = found.ravel().astype(np.intp)
    pairs = np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], distances.ravel()))
    told_apart = pairs[order][(one != other)[order]]
    first = np.unique(told_apart, axis=0, return_index=True)[1]
    return [(int(one), int(other)) for one, other in told_apart[np.sort(first)]]


def between_groups(vectors: Floats, roots: Sequence[int]) -> Iterator[list[Pair]]:
    """For each group and those nearest to its mean, the likeliest pairs of their images."""
    members: dict[int, list[int]] = defaultdict(list)
    for item, root in enumerate(roots):
        members[root].append(item)
    groups = list(members.values())
    means = np.stack([vectors[group].mean(axis=0) for group in groups])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-6)
    for one, other in nearest(means, NEIGHBOUR_GROUPS):
        left, right = groups[one][:_VOTERS], groups[other][:_VOTERS]
        likeness = vectors[left] @ vectors[right].T
        best = np.argsort(-likeness, axis=None, kind="stable")[:_VOTES].tolist()
        yield [(left[k // len(right)], right[k % len(right)]) for k in best]


class _Forest:
    """What was found so far, of which none closes a circle."""

    def __init__(self, images: Sequence[View], min_inliers: int) -> None:
        self.ties: list[Tie] = []
        self._images, self._min_inliers = images, min_inliers
        self._groups = DisjointSet(range(len(images)))

    def grow(self, candidates: Iterable[list[Pair]], proves: Rule) -> None:
        """Join what the overlaps of candidates, each some pairs of two groups, prove to be one.

        What is joined already needs no proof, so that most candidates are free.
        """

        def prove(pairs: list[Pair]) -> Tie | None:
            found = {pair: self._overlap(*pair) for pair in pairs}
            overlaps = {pair: one for pair, one in found.items() if one is not None}
            if not overlaps or not proves(list(overlaps.values())):
                return None
            best = max(overlaps, key=lambda pair: overlaps[pair].inliers)
            return Tie(*best, overlaps[best].inliers)

        apart = (pairs for pairs in candidates if not self._groups.connected(*pairs[0]))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            while batch := list(islice(apart, _BATCH)):
                for tie in pool.map(prove, batch):
                    if tie is not None and self._groups.merge(tie.one, tie.other):
                        self.ties.append(tie)

    def _overlap(self, one: int, other: int) -> Overlap | None:
        return overlap(self._images[one], self._images[other], self._min_inliers)
