"""How two images lie on each other: an affine map between their keypoints, and what it says.

Neighbouring fields of one smear overlap. Photographs of them share keypoints, and yet each was
taken of another cell, which the other photograph may even show at its border. So an overlap alone
does not make one cell of two: nearly the whole field must agree, or nucleus lie on nucleus.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.steps.cells.matching.keypoints import Floats, mirrored, rooted
from pipeline.steps.cells.matching.view import Map, View

MIN_INLIERS = 6
"""Fewest that can be asked for: an affine map follows from three pairs, the others confirm it."""
_RATIO = 0.85
"""A match must be this much nearer than the runner-up (Lowe, IJCV 60, 2004)."""
_TOLERANCE = 0.01
"""Of the longer side: how far from its place under the map a keypoint may lie."""
_ROUNDS = 1000
_CONFIDENCE = 0.999
_STRETCH = (0.4, 2.5)
"""Least and largest scale, in any direction, between two copies of a photograph."""
_SPREAD = 0.04
"""Least extent of the shared keypoints, in any direction: a stamp or a scale bar has less."""

SAME_FIELD = 0.6
"""Share of two images that must lie on each other to be copies of one photograph."""


@dataclass(frozen=True)
class Overlap:
    """What two images share."""

    inliers: int
    """Keypoints that the map takes to their match."""
    map: Map
    """From the points of the first to those of the second."""
    share: float
    """Share of either photograph, 0 to 1, that lies within the other; the smaller of the two."""
    same_nucleus: bool
    """Whether the nuclei that were located lie on each other."""


def overlap(one: View, other: View, min_inliers: int) -> Overlap | None:
    """The affine map under which one image lies on the other, mirrored or not; None without one.

    Args:
        one: the first image.
        other: the second.
        min_inliers: fewest keypoints that must agree on the map, at least MIN_INLIERS.
    """
    here, there = one.keypoints, other.keypoints
    target = rooted(there.descriptors)
    for mirror, descriptors in ((False, here.descriptors), (True, mirrored(here.descriptors))):
        left, right = _matches(rooted(descriptors), target)
        if len(left) >= min_inliers:
            found = _affine(here.points[left], there.points[right])
            if found is not None and found[1] >= min_inliers and _mirrors(found[0]) == mirror:
                return _judged(one, other, *found)
    return None


def _judged(one: View, other: View, forth: Map, inliers: int) -> Overlap:
    back = np.asarray(cv2.invertAffineTransform(forth), dtype=np.float64)
    # Both ways: what was wrongly taken for a nucleus may be so large that it holds everything.
    same = one.lands_on(other, forth) and other.lands_on(one, back)
    share = min(one.share_within(other, forth), other.share_within(one, back))
    return Overlap(inliers, forth, share, same)


def _matches(one: Floats, other: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs of keypoints that are each other's nearest, and clearly so."""
    if len(one) < 2 or len(other) < 2:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    likeness = one @ other.T
    nearest = likeness.argmax(axis=1)
    every = np.arange(len(one))
    first = likeness[every, nearest]
    mutual = likeness.argmax(axis=0)[nearest] == every
    likeness[every, nearest] = -1.0
    second = likeness.max(axis=1)
    # Of unit vectors the squared distance is 2 - 2 * likeness.
    clear = 1 - first < _RATIO**2 * (1 - second)
    left = np.flatnonzero(mutual & clear)
    return left, nearest[left]


def _affine(source: Floats, target: Floats) -> tuple[Map, int] | None:
    """The map most pairs agree on, and how many; the same pairs always give the same map."""
    matrix, agreed = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.RANSAC,
        ransacReprojThreshold=_TOLERANCE,
        maxIters=_ROUNDS,
        confidence=_CONFIDENCE,
    )
    if matrix is None:
        return None
    inside = agreed.ravel().astype(bool)
    scales = np.linalg.svd(matrix[:, :2], compute_uv=False)
    plausible = _STRETCH[0] <= scales[1] and scales[0] <= _STRETCH[1]
    if not plausible or _extent(source[inside]) < _SPREAD or _extent(target[inside]) < _SPREAD:
        return None
    return matrix.astype(np.float64), int(inside.sum())


def _mirrors(map_: Map) -> bool:
    return bool(np.linalg.det(map_[:, :2]) < 0)


def _extent(points: Floats) -> float:
    """Standard deviation along the direction in which the points spread least."""
    return float(np.sqrt(max(np.linalg.eigvalsh(np.cov(points.T))[0], 0.0)))
