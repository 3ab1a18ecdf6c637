"""Overlap of two photographs: the affine map between their keypoints, and the shared area.

Neighbouring fields of one smear overlap. Their photographs share keypoints although each was taken
of another cell, which the other photograph may show at its border. An overlap alone is therefore no
proof of one cell: nearly the whole field must agree, or the nuclei must coincide.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.steps.cells.matching.fingerprint import Fingerprint, Map
from pipeline.steps.cells.matching.keypoints import Floats, mirrored, root_sift

MIN_INLIERS = 6
"""Lower limit of `min_inliers`: three pairs define an affine map, the others confirm it."""
_MAX_RATIO = 0.85
"""Ratio test: distance of the best match over that of the second best (Lowe, IJCV 60, 2004)."""
_TOLERANCE = 0.01
"""Largest error of an inlier under the map, as a share of the longer side."""
_RANSAC_ROUNDS = 1000
_CONFIDENCE = 0.999
_MIN_SCALE, _MAX_SCALE = 0.4, 2.5
"""Scale between two copies of a photograph, in any direction."""
_MIN_SPREAD = 0.04
"""Standard deviation of the shared keypoints in any direction, as a share of the longer side; a
stamp or a scale bar has less."""

SAME_FIELD = 0.6
"""Smallest shared area, 0 to 1, of two copies of one photograph."""


@dataclass(frozen=True)
class Overlap:
    """The map between two images, and the area that they share."""

    inliers: int
    """Keypoints that the map takes to their match, within the tolerance."""
    map: Map
    """From points of the first image to points of the second."""
    share: float
    """Share of a photograph, 0 to 1, that lies within the other; the smaller of the two shares."""
    same_nucleus: bool
    """Whether the located nuclei coincide."""


def find_overlap(one: Fingerprint, other: Fingerprint, min_inliers: int) -> Overlap | None:
    """Affine map from one image to the other, and the area they share; None if none fits.

    Args:
        one: fingerprint of the first image.
        other: fingerprint of the second image.
        min_inliers: keypoints that must agree on the map, at least MIN_INLIERS.
    """
    source, target = one.keypoints, other.keypoints
    vectors = root_sift(target.descriptors)
    for mirror, descriptors in ((False, source.descriptors), (True, mirrored(source.descriptors))):
        left, right = _match_keypoints(root_sift(descriptors), vectors)
        if len(left) >= min_inliers:
            fit = _fit_affine(source.points[left], target.points[right])
            if fit is not None and fit[1] >= min_inliers and _is_mirrored(fit[0]) == mirror:
                return _measure(one, other, *fit)
    return None


def _measure(one: Fingerprint, other: Fingerprint, map_: Map, inliers: int) -> Overlap:
    """The overlap under an affine map: shared area, and whether the nuclei coincide."""
    inverse = np.asarray(cv2.invertAffineTransform(map_), dtype=np.float64)
    # In both directions: a wrongly located nucleus may be so large that it contains every other.
    same = one.nucleus_maps_onto(other, map_) and other.nucleus_maps_onto(one, inverse)
    share = min(one.share_within(other, map_), other.share_within(one, inverse))
    return Overlap(inliers, map_, share, same)


def _match_keypoints(one: Floats, other: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indexes (k,) into each of the mutual nearest neighbours that pass the ratio test."""
    if len(one) < 2 or len(other) < 2:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    similarity = one @ other.T
    nearest = similarity.argmax(axis=1)
    rows = np.arange(len(one))
    first = similarity[rows, nearest]
    mutual = similarity.argmax(axis=0)[nearest] == rows
    similarity[rows, nearest] = -1.0
    second = similarity.max(axis=1)
    # The squared distance of unit vectors is 2 - 2 * similarity.
    distinct = 1 - first < _MAX_RATIO**2 * (1 - second)
    left = np.flatnonzero(mutual & distinct)
    return left, nearest[left]


def _fit_affine(source: Floats, target: Floats) -> tuple[Map, int] | None:
    """Affine map by RANSAC and its number of inliers, or None if implausible; deterministic."""
    matrix, inlier_mask = cv2.estimateAffine2D(
        source,
        target,
        method=cv2.RANSAC,
        ransacReprojThreshold=_TOLERANCE,
        maxIters=_RANSAC_ROUNDS,
        confidence=_CONFIDENCE,
    )
    if matrix is None:
        return None
    inside = inlier_mask.ravel().astype(bool)
    scales = np.linalg.svd(matrix[:, :2], compute_uv=False)
    plausible = scales[1] >= _MIN_SCALE and scales[0] <= _MAX_SCALE
    spread = min(_spread(source[inside]), _spread(target[inside]))
    if not plausible or spread < _MIN_SPREAD:
        return None
    return matrix.astype(np.float64), int(inside.sum())


def _is_mirrored(map_: Map) -> bool:
    return bool(np.linalg.det(map_[:, :2]) < 0)


def _spread(points: Floats) -> float:
    """Standard deviation of points (n, 2) along their minor axis."""
    return float(np.sqrt(max(np.linalg.eigvalsh(np.cov(points.T))[0], 0.0)))
