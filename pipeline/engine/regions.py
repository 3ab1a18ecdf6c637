"""Nucleus and surroundings: which part of each level of VGG16 says what about a cell.

A mean over the whole crop mixes the cell with red cells and plasma; a mean over the nucleus tells
chromatin, and one over the band around it cytoplasm (docs/experiments.md). Both regions are found
in the graph from the pixels alone, so that what is trained on is what serves. Written twice: for
OpenVINO here, which extracts, and for Keras in `network_regions.py`; a test holds them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

VERSION = "1"
"""Changes whenever the same crop could leave other means."""
STAIN = (0.5, -1.5, 1.0)
"""Of red, green and blue: blue over green, and half of red over green, as `locate` sees dye."""
ROUNDS = 6
"""Of moving the threshold to the middle between the means on its two sides (Ridler & Calvard, IEEE
Trans. SMC 8, 1978); more change nothing."""
SOFTNESS, FAINTEST = 6.0, 12.0
"""Width of the threshold's slope, and the least threshold, in units of stain: an image without a
nucleus has none."""
TINY = 1e-3


@dataclass(frozen=True)
class Windows:
    """Sides of the means, in pixels of the crop: odd, in proportion to its side."""

    smooth: int
    """Before the threshold."""
    around: int
    """How far the surroundings reach, on both sides together."""

    @classmethod
    def of(cls, size: int) -> "Windows":
        """5 and 15 pixels where the crop has 128."""
        return cls(*(2 * max(1, round(size * half / 128)) + 1 for half in (2, 7)))


def region_means(planes: Any, levels: Sequence[Any], size: int) -> Any:
    """One vector an image: each level's mean over the nucleus, then over its surroundings.

    Args:
        planes: RGB (n, 3, size, size), 0 to 255, an OpenVINO node.
        levels: outputs of pooling layers, each (n, channels, side, side).
        size: side of the crop.
    """
    from openvino import opset13 as ops

    masks = _regions(planes, Windows.of(size))
    means = []
    for level in levels:
        stride = size // level.get_partial_shape()[2].get_length()
        for mask in masks:
            none = [0, 0]
            sides = [stride, stride]
            share = ops.avg_pool(mask, sides, none, none, sides, exclude_pad=True)
            total = ops.reduce_sum(share, np.array([2, 3]), False)
            weighed = ops.reduce_sum(ops.multiply(level, share), np.array([2, 3]), False)
            means.append(ops.divide(weighed, ops.add(total, np.float32(TINY))))
    return ops.concat(means, 1)


def _regions(planes: Any, windows: Windows) -> list[Any]:
    """Weights of the nucleus and of what lies around it, each (n, 1, size, size)."""
    from openvino import opset13 as ops

    axes = np.array([1, 2, 3])
    weights = np.array(STAIN, np.float32).reshape(1, 3, 1, 1)
    stain = _mean(
        ops.reduce_sum(ops.multiply(planes, weights), np.array([1]), True), windows.smooth
    )
    ends = ops.add(ops.reduce_mean(stain, axes, True), ops.reduce_max(stain, axes, True))
    threshold = ops.divide(ends, np.float32(2))
    one = np.float32(1)
    for _ in range(ROUNDS):
        above = _soft(stain, threshold)
        sides = (above, ops.subtract(one, above))
        high, low = (_average(stain, side) for side in sides)
        threshold = ops.divide(ops.add(high, low), np.float32(2))
    nucleus = _soft(stain, ops.maximum(threshold, np.float32(FAINTEST)))
    return [nucleus, ops.multiply(_mean(nucleus, windows.around), ops.subtract(one, nucleus))]


def _soft(stain: Any, threshold: Any) -> Any:
    from openvino import opset13 as ops

    return ops.sigmoid(ops.divide(ops.subtract(stain, threshold), np.float32(SOFTNESS)))


def _mean(plane: Any, side: int) -> Any:
    from openvino import opset13 as ops

    reach = [side // 2, side // 2]
    return ops.avg_pool(plane, [1, 1], reach, reach, [side, side], exclude_pad=True)


def _average(plane: Any, weights: Any) -> Any:
    from openvino import opset13 as ops

    axes = np.array([1, 2, 3])
    total = ops.add(ops.reduce_sum(weights, axes, True), np.float32(TINY))
    return ops.divide(ops.reduce_sum(ops.multiply(plane, weights), axes, True), total)
