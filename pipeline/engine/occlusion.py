"""Which part of a crop an answer rests on: hide it, and see what becomes of the answer."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.contract.decoding import Pixels

GRID = 6
_REACH = 0.25
"""Windows overlap by this share of a square on each side, or an edge between two hides nothing."""
_LEAST = 1e-30
_FOR, _AGAINST = (230, 92, 0), (28, 100, 210)
"""Orange and blue, which colour-blind people tell apart."""


def occlusion_map(
    predict: Callable[[Pixels], NDArray[np.floating]], crop: Pixels, target: int, grid: int = GRID
) -> NDArray[np.float64]:
    """Log-odds of a class that each part of a crop is worth (Zeiler & Fergus, ECCV 2014).

    Every square of a grid is covered in turn with the crop's median colour, which is background or
    plasma. Log-odds, because a sure answer hardly moves in probability.

    Args:
        predict: crops (n, size, size, 3) to probabilities (n, classes), such as the engine's.
        crop: (size, size, 3) as `prepare` cuts it.
        target: index of the class.
        grid: squares along a side; one prediction for each of `grid * grid`.

    Returns:
        (grid, grid): above 0 where the part speaks for the class, below where against it.
    """
    edges = np.linspace(0, len(crop), grid + 1)
    reach = _REACH * len(crop) / grid
    covered = np.repeat(crop[None], grid * grid, axis=0)
    colour = np.median(crop.reshape(-1, 3), axis=0).astype(np.uint8)
    for row in range(grid):
        for column in range(grid):
            rows, columns = (
                slice(max(0, round(edges[i] - reach)), round(edges[i + 1] + reach))
                for i in (row, column)
            )
            covered[row * grid + column, rows, columns] = colour
    whole = _log_odds(predict(crop[None]), target)
    return np.asarray(whole - _log_odds(predict(covered), target)).reshape(grid, grid)


def evidence_picture(crop: Pixels, worth: NDArray[np.float64], side: int) -> Image.Image:
    """The crop in grey; what speaks for the answer glows orange, what against it blue.

    Args:
        crop: (size, size, 3), as the map was made of.
        worth: (grid, grid), an `occlusion_map`; the strongest part glows fully.
        side: of the picture, in pixels.
    """
    square = Image.fromarray(crop).resize((side, side), Image.Resampling.BICUBIC)
    grey = np.asarray(square.convert("L"), np.float64)[..., None] * 0.55 + 90
    scaled = (worth / max(float(np.abs(worth).max()), 1e-9)).astype(np.float32)
    smooth = Image.fromarray(scaled).resize((side, side), Image.Resampling.BICUBIC)
    sign = np.asarray(smooth)[..., None]
    strength = np.clip(np.abs(sign), 0, 1) * 0.8
    colour = np.where(sign > 0, np.array(_FOR), np.array(_AGAINST))
    return Image.fromarray((grey * (1 - strength) + colour * strength).astype(np.uint8))


def _log_odds(probabilities: NDArray[np.floating], target: int) -> NDArray[np.float64]:
    """Of one class against the sum of the others: 1 less a share of nearly 1 would be nought."""
    shares = np.clip(probabilities.astype(np.float64), _LEAST, 1)
    others = np.delete(shares, target, axis=1).sum(axis=1)
    return np.asarray(np.log(shares[:, target] / others))
