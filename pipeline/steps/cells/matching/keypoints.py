"""Keypoints of a photograph, which its turned, sheared, zoomed and mirrored copies share."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.decoding import Pixels
from pipeline.contract.preprocessing import WEDGE_LEVEL

LENGTH = 128
"""Numbers in a descriptor."""
SIDE = 480
"""An image whose longer side has more pixels is reduced to this."""
_MOST = 300
"""Keypoints kept of an image, those that stand out most."""
_CONTRAST = 0.02
"""Half of OpenCV's default: red cells are pale, and their rims are what copies are known by."""
_RIM = 9
"""Pixels beside a black wedge where gradients are the wedge's and not the photograph's."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Keypoints:
    """What is known of one image: SIFT (Lowe, IJCV 60, 2004), strongest first."""

    points: Floats
    """(k, 2): x and y in units of the image's longer side."""
    descriptors: NDArray[np.uint8]
    """(k, LENGTH)."""


def keypoints(image: Pixels) -> Keypoints:
    """Find at most 300 keypoints of an RGB image; an even image has none."""
    small = _reduced(image)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT.create(nfeatures=_MOST, contrastThreshold=_CONTRAST)
    found, descriptors = detector.detectAndCompute(grey, _photographed(small))
    if not found:
        return Keypoints(np.empty((0, 2), np.float32), np.empty((0, LENGTH), np.uint8))
    # Ties may exceed the number asked for; places make the order of equals certain.
    order = sorted(range(len(found)), key=lambda k: (-found[k].response, found[k].pt))[:_MOST]
    points = np.array([found[k].pt for k in order], np.float32) / max(small.shape[:2])
    return Keypoints(points, descriptors[order].astype(np.uint8))


def mirrored(descriptors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The descriptors that the same keypoints have in the mirrored image.

    A descriptor is a grid of 4 by 4 cells along and across the keypoint's direction, with eight
    orientations each. A mirror swaps the two sides of that direction and the sense of turning.
    """
    grid = descriptors.reshape(-1, 4, 4, 8)
    return grid[:, ::-1][..., -np.arange(8)].reshape(-1, LENGTH)


def rooted(descriptors: NDArray[np.uint8]) -> Floats:
    """Unit vectors that are compared by Hellinger distance (RootSIFT: Arandjelovic, CVPR 2012)."""
    shares = descriptors.astype(np.float32)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    return np.sqrt(shares)


def _reduced(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _photographed(image: Pixels) -> NDArray[np.uint8]:
    """1 where the photograph is, 0 in black wedges and right beside them."""
    bright = (image.max(axis=-1) >= WEDGE_LEVEL).astype(np.uint8)
    # A single dark pixel inside the photograph is no wedge.
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    rim = np.ones((_RIM, _RIM), np.uint8)
    inside = cv2.erode(closed, rim, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(inside, dtype=np.uint8)
