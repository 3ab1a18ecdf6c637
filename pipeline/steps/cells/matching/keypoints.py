"""SIFT keypoints, which rotated, sheared, zoomed and mirrored copies of a photograph share."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.decoding import Pixels
from pipeline.contract.preprocessing import WEDGE_LEVEL

DESCRIPTOR_LENGTH = 128
"""Values in a SIFT descriptor."""
MAX_SIDE = 480
"""Longer side in pixels; a larger image is scaled down to it."""
_MAX_KEYPOINTS = 300
"""Keypoints per image; the ones with the strongest response are used."""
_CONTRAST = 0.02
"""Half of OpenCV's default: red cells are pale, and their rims identify a photograph."""
_RIM = 9
"""Width in pixels of the border of a black wedge, where gradients belong to the wedge."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Keypoints:
    """SIFT keypoints of one image (Lowe, IJCV 60, 2004), strongest first."""

    points: Floats
    """(k, 2): x and y in units of the image's longer side."""
    descriptors: NDArray[np.uint8]
    """(k, DESCRIPTOR_LENGTH)."""


def detect_keypoints(image: Pixels) -> Keypoints:
    """Detect at most 300 keypoints in an RGB image; a uniform image has none."""
    small = _scaled_down(image)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT.create(nfeatures=_MAX_KEYPOINTS, contrastThreshold=_CONTRAST)
    detected, descriptors = detector.detectAndCompute(grey, _mask(small))
    if not detected:
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, DESCRIPTOR_LENGTH), np.uint8))
    # OpenCV returns more than `nfeatures` on equal responses; the position breaks such ties.
    order = sorted(range(len(detected)), key=lambda k: (-detected[k].response, detected[k].pt))
    order = order[:_MAX_KEYPOINTS]
    points = np.array([detected[k].pt for k in order], np.float32) / max(small.shape[:2])
    return Keypoints(points, descriptors[order].astype(np.uint8))


def mirrored(descriptors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The descriptors that the same keypoints have in the mirrored image.

    A descriptor is a grid of 4 by 4 cells along and across the keypoint's direction, with eight
    orientations each. A mirror swaps the two sides of that direction and the sense of rotation.
    """
    grid = descriptors.reshape(-1, 4, 4, 8)
    return grid[:, ::-1][..., -np.arange(8)].reshape(-1, DESCRIPTOR_LENGTH)


def root_sift(descriptors: NDArray[np.uint8]) -> Floats:
    """Unit vectors whose dot product compares by Hellinger distance (Arandjelovic, CVPR 2012)."""
    shares = descriptors.astype(np.float32)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    return np.sqrt(shares)


def _scaled_down(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _mask(image: Pixels) -> NDArray[np.uint8]:
    """Mask (height, width) for the detector: 0 in black wedges and on their border, else 1."""
    bright = (image.max(axis=-1) >= WEDGE_LEVEL).astype(np.uint8)
    # Closing removes single dark pixels inside the photograph.
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    rim = np.ones((_RIM, _RIM), np.uint8)
    inside = cv2.erode(closed, rim, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(inside, dtype=np.uint8)
