"""Evidence map by occlusion: how a class's log-odds change when a part of the crop is covered."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.contract.decoding import Pixels

GRID = 6
_OVERLAP = 0.25
"""Overlap of neighbouring windows, as a share of a square, so that edges are covered too."""
_MIN_PROBABILITY = 1e-30
_FOR, _AGAINST = (230, 92, 0), (28, 100, 210)
"""Orange and blue, which colour-blind people can distinguish."""


def occlusion_map(
    predict: Callable[[Pixels], NDArray[np.floating]], crop: Pixels, target: int, grid: int = GRID
) -> NDArray[np.float64]:
    """Decrease in a class's log-odds when a square of the crop is covered (grid, grid).

    Above 0 the square is evidence for the class, below 0 against it (Zeiler & Fergus, ECCV 2014).
    The cover has the crop's median colour, which is background or plasma. Log-odds, because a
    probability near 1 hardly changes.

    Args:
        predict: crops (n, size, size, 3) to probabilities (n, classes).
        crop: (size, size, 3) from `prepare`.
        target: index of the class.
        grid: squares along a side; the map takes `grid * grid` + 1 predictions.
    """
    edges = np.linspace(0, len(crop), grid + 1)
    overlap = _OVERLAP * len(crop) / grid
    covered = np.repeat(crop[None], grid * grid, axis=0)
    colour = np.median(crop.reshape(-1, 3), axis=0).astype(np.uint8)
    for row in range(grid):
        for column in range(grid):
            rows, columns = (
                slice(max(0, round(edges[i] - overlap)), round(edges[i + 1] + overlap))
                for i in (row, column)
            )
            covered[row * grid + column, rows, columns] = colour
    uncovered = _log_odds(predict(crop[None]), target)
    return np.asarray(uncovered - _log_odds(predict(covered), target)).reshape(grid, grid)


def evidence_picture(crop: Pixels, evidence: NDArray[np.float64], side: int) -> Image.Image:
    """The crop in grey with an overlay: orange is evidence for the class, blue against it.

    Args:
        crop: (size, size, 3), of which the map was computed.
        evidence: (grid, grid), an `occlusion_map`; its largest absolute value has full colour.
        side: of the picture, in pixels.
    """
    square = Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC)
    grey = np.asarray(square.convert("L"), np.float64)[..., None] * 0.55 + 90
    scaled = (evidence / max(float(np.abs(evidence).max()), 1e-9)).astype(np.float32)
    smooth = Image.fromarray(scaled).resize((side, side), Image.Resampling.BICUBIC)
    sign = np.asarray(smooth)[..., None]
    strength = np.clip(np.abs(sign), 0, 1) * 0.8
    colour = np.where(sign > 0, np.array(_FOR), np.array(_AGAINST))
    return Image.fromarray((grey * (1 - strength) + colour * strength).astype(np.uint8))


def _log_odds(probabilities: NDArray[np.floating], target: int) -> NDArray[np.float64]:
    """Log-odds of one class (n,). Sums the others: 1 - p would round to 0 for p near 1."""
    clipped = np.clip(probabilities.astype(np.float64), _MIN_PROBABILITY, 1)
    others = np.delete(clipped, target, axis=1).sum(axis=1)
    return np.asarray(np.log(clipped[:, target] / others))
