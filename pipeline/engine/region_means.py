"""Region means: masked average pooling of VGG16's blocks over the nucleus and its surroundings.

A mean over the whole crop mixes the cell with red cells and plasma. The nucleus shows chromatin,
the band around it cytoplasm (docs/experiments.md). The graph segments both regions from the pixels,
so that training and serving use the same ones. It is written twice: here for OpenVINO, which
extracts features, and in `modeling/keras_region_means.py` for Keras; a test compares them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = "1"
"""Changes whenever the same crop could give other means; part of the feature cache's key."""
STAIN = (0.5, -1.5, 1.0)
"""Weights of red, green and blue in the stain value, as in `locate_nucleus`."""
ITERATIONS = 6
"""Steps of threshold selection (Ridler & Calvard, IEEE Trans. SMC 8, 1978), each of which moves the
threshold to the middle between the means on its two sides; more change nothing."""
SOFTNESS, MIN_THRESHOLD = 6.0, 12.0
"""Width of the soft threshold, and its minimum, both in units of stain: below the minimum an image
has no nucleus."""
EPSILON = 1e-3
"""Added to a sum of weights before a division."""


@dataclass(frozen=True)
class Windows:
    """Sides of the two averaging windows in pixels: odd, in proportion to the crop's side."""

    smooth: int
    """Smooths the stain before the threshold."""
    around: int
    """Dilates the nucleus to its surroundings: their reach on both sides together."""

    @classmethod
    def of(cls, size: int) -> "Windows":
        """Windows for a crop of this side: 5 and 15 pixels for 128."""
        return cls(*(2 * max(1, round(size * half / 128)) + 1 for half in (2, 7)))


def region_means(planes: Any, levels: Sequence[Any], size: int) -> Any:
    """One vector per image: each level's mean over the nucleus, then over its surroundings.

    Args:
        planes: RGB (n, 3, size, size), 0 to 255, an OpenVINO node.
        levels: outputs of pooling layers, each (n, channels, side, side).
        size: side of the crop.
    """
    from openvino import opset13 as ops

    masks = _region_masks(planes, Windows.of(size))
    means = []
    for level in levels:
        stride = size // level.get_partial_shape()[2].get_length()
        for mask in masks:
            none = [0, 0]
            sides = [stride, stride]
            share = ops.avg_pool(mask, sides, none, none, sides, exclude_pad=True)
            total = ops.reduce_sum(share, np.array([2, 3]), False)
            weighted = ops.reduce_sum(ops.multiply(level, share), np.array([2, 3]), False)
            means.append(ops.divide(weighted, ops.add(total, np.float32(EPSILON))))
    return ops.concat(means, 1)


def _region_masks(planes: Any, windows: Windows) -> list[Any]:
    """Masks of the nucleus and of its surroundings, each (n, 1, size, size), 0 to 1."""
    from openvino import opset13 as ops

    axes = np.array([1, 2, 3])
    weights = np.array(STAIN, np.float32).reshape(1, 3, 1, 1)
    stain = _box_mean(
        ops.reduce_sum(ops.multiply(planes, weights), np.array([1]), True), windows.smooth
    )
    ends = ops.add(ops.reduce_mean(stain, axes, True), ops.reduce_max(stain, axes, True))
    threshold = ops.divide(ends, np.float32(2))
    one = np.float32(1)
    for _ in range(ITERATIONS):
        above = _soft_threshold(stain, threshold)
        sides = (above, ops.subtract(one, above))
        high, low = (_weighted_mean(stain, side) for side in sides)
        threshold = ops.divide(ops.add(high, low), np.float32(2))
    nucleus = _soft_threshold(stain, ops.maximum(threshold, np.float32(MIN_THRESHOLD)))
    return [nucleus, ops.multiply(_box_mean(nucleus, windows.around), ops.subtract(one, nucleus))]


def _soft_threshold(stain: Any, threshold: Any) -> Any:
    from openvino import opset13 as ops

    return ops.sigmoid(ops.divide(ops.subtract(stain, threshold), np.float32(SOFTNESS)))


def _box_mean(plane: Any, side: int) -> Any:
    """Mean over the square window of `side` pixels around each pixel; the size stays."""
    from openvino import opset13 as ops

    reach = [side // 2, side // 2]
    return ops.avg_pool(plane, [1, 1], reach, reach, [side, side], exclude_pad=True)


def _weighted_mean(plane: Any, weights: Any) -> Any:
    from openvino import opset13 as ops

    axes = np.array([1, 2, 3])
    total = ops.add(ops.reduce_sum(weights, axes, True), np.float32(EPSILON))
    return ops.divide(ops.reduce_sum(ops.multiply(plane, weights), axes, True), total)
