"""Statistics of a photograph, computed by the same code for training, serving and drift.

To add a statistic:
1. Add a field `name: float | None = None` to `ImageStats`: log lines and references written before
   load with None. Say its unit and range.
2. Compute it in `image_stats`, rounded, from the valid pixels; test it in test_image_stats.py.
3. Nothing else: the drift test compares it once every image of the window and of the reference has
   it, and until then lists it among the caveats. Evaluating a model anew writes a new reference.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.contract.decoding import Pixels
from pipeline.contract.morphology import eroded
from pipeline.contract.preprocessing import Prepared, photograph_mask


class ImageStats(BaseModel):
    """Statistics that change with the camera or the stain; black wedges are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    height: int
    red: float
    """Mean of the channel over valid pixels, 0 to 255; likewise green and blue."""
    green: float
    blue: float
    contrast: float
    """Standard deviation of luminance over valid pixels, 0 to 128."""
    sharpness: float
    """Variance of the Laplacian of luminance inside the valid area (Pech-Pacheco, ICPR 2000)."""
    cell_side: float
    """Side of the nucleus over the longer side of the image; 1 if no nucleus was found."""
    cell_red: float
    """Mean of the channel inside the crop, 0 to 255; likewise green and blue."""
    cell_green: float
    cell_blue: float
    wedge_share: float
    """Share of the image that is black wedge, 0 to 1."""


STATISTICS: tuple[str, ...] = tuple(
    name for name in ImageStats.model_fields if name not in ("width", "height", "wedge_share")
)
"""The columns of the drift test; the excluded fields vary with framing and augmentation."""
_MAX_PIXELS = 512 * 512
"""Largest image that is measured as a whole; of larger ones, tiles with as many pixels are."""
_TILE = 32
"""Side of a tile in pixels."""


def common_statistics(images: Iterable[ImageStats]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the statistics that every image has, then of those that an image lacks (None)."""
    distinct = set(images)
    lacking = [name for name in STATISTICS if any(getattr(one, name) is None for one in distinct)]
    return tuple(name for name in STATISTICS if name not in lacking), tuple(lacking)


def image_stats(prepared: Prepared) -> ImageStats:
    """Statistics of a prepared image; of a large one, from evenly spaced tiles."""
    image = prepared.image
    tiles = _tiles(image)
    valid = [photograph_mask(tile) for tile in tiles]
    light = [_luminance(tile) for tile in tiles]
    n_valid = sum(int(np.count_nonzero(where)) for where in valid)
    pairs = list(zip(light, valid, strict=True))
    lit = np.concatenate([plane[where] for plane, where in pairs])
    edges = np.concatenate([_laplacian(*pair) for pair in pairs])
    red, green, blue = _means(tiles, valid)
    cell_red, cell_green, cell_blue = _means([prepared.crop], [photograph_mask(prepared.crop)])
    height, width = image.shape[:2]
    return ImageStats(
        width=width,
        height=height,
        red=red,
        green=green,
        blue=blue,
        contrast=round(float(lit.std()) if n_valid else 0.0, 2),
        sharpness=round(float(edges.var()) if len(edges) else 0.0, 2),
        cell_side=round((prepared.nucleus or prepared.box).side / max(height, width), 4),
        cell_red=cell_red,
        cell_green=cell_green,
        cell_blue=cell_blue,
        wedge_share=round(1 - n_valid / sum(where.size for where in valid), 4),
    )


def _means(tiles: Sequence[Pixels], valid: Sequence[NDArray[np.bool_]]) -> list[float]:
    """Mean of each channel over valid pixels; over all pixels if none is valid."""
    if not any(where.any() for where in valid):
        valid = [np.ones_like(where) for where in valid]
    n_valid = sum(int(np.count_nonzero(where)) for where in valid)
    pairs = list(zip(tiles, valid, strict=True))
    sums = (sum(int((t[..., c] * v).sum(dtype=np.int64)) for t, v in pairs) for c in range(3))
    return [round(total / n_valid, 2) for total in sums]


def _tiles(image: Pixels) -> list[Pixels]:
    """The whole image if it is small; otherwise evenly spaced tiles.

    A downscaled copy would have another sharpness.
    """
    height, width = image.shape[:2]
    if height * width <= _MAX_PIXELS or min(height, width) < _TILE:
        return [image]
    count = _MAX_PIXELS // _TILE**2
    down = max(1, round(height / float(np.sqrt(height * width / count))))
    across = max(1, count // down)
    rows, columns = _tile_starts(height, down), _tile_starts(width, across)
    return [image[row : row + _TILE, left : left + _TILE] for row in rows for left in columns]


def _tile_starts(side: int, count: int) -> NDArray[np.intp]:
    """First pixel of each of `count` evenly spaced tiles along a side."""
    middles = (np.arange(count) + 0.5) * side / count
    return np.clip(middles - _TILE / 2, 0, side - _TILE).astype(np.intp)


def _luminance(pixels: Pixels) -> NDArray[np.float32]:
    """Luminance (height, width), 0 to 255, of pixels (height, width, 3)."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    red *= np.float32(0.299)
    green *= np.float32(0.587)
    blue *= np.float32(0.114)
    red += green
    red += blue
    return red


def _laplacian(light: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Laplacian (n,) of a luminance (height, width), where its neighbourhood is valid."""
    inside = eroded(eroded(valid))[1:-1, 1:-1]
    middle = light[1:-1, 1:-1]
    second = light[:-2, 1:-1] + light[2:, 1:-1]
    second += light[1:-1, :-2]
    second += light[1:-1, 2:]
    second -= 4 * middle
    return np.asarray(second[inside])
