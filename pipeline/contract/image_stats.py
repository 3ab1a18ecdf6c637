"""Plain statistics of a photograph, the same for training, serving and drift."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from pipeline.contract.decoding import Pixels
from pipeline.contract.preprocessing import WEDGE_LEVEL, Prepared


class ImageStats(BaseModel):
    """What a camera or a stain would change; black wedges are left out."""

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
    """Side of the nucleus over the longer side of the image; 1 where none was found."""
    cell_red: float
    """Mean of the channel inside the crop, 0 to 255; likewise green and blue."""
    cell_green: float
    cell_blue: float
    wedge_share: float
    """Share of the image that is black wedge, 0 to 1."""


STATISTICS: tuple[str, ...] = tuple(
    name for name in ImageStats.model_fields if name not in ("width", "height", "wedge_share")
)
"""The columns that drift is measured on: augmentation and framing are not drift."""
_MOST_PIXELS = 512 * 512
"""Of an image that is measured whole: as many say enough of light, stain and focus."""
_TILE = 32
"""Side of a square of a larger one."""


def image_stats(prepared: Prepared) -> ImageStats:
    """Measure a prepared image; of a large one as many pixels as a small one has."""
    image, cell = prepared.image, prepared.crop
    tiles = _tiles(image)
    valid = [_valid(tile) for tile in tiles]
    seen = np.concatenate([tile[where] for tile, where in zip(tiles, valid, strict=True)])
    means = (seen if len(seen) else image.reshape(-1, 3)).mean(axis=0, dtype=np.float64)
    cell_valid = _valid(cell)
    cell_pixels = cell[cell_valid] if cell_valid.any() else cell.reshape(-1, 3)
    cell_means = cell_pixels.mean(axis=0, dtype=np.float64)
    edges = np.concatenate([_laplacian(*pair) for pair in zip(tiles, valid, strict=True)])
    height, width = image.shape[:2]
    return ImageStats(
        width=width,
        height=height,
        red=round(float(means[0]), 2),
        green=round(float(means[1]), 2),
        blue=round(float(means[2]), 2),
        contrast=round(float(_luminance(seen).std()) if len(seen) else 0.0, 2),
        sharpness=round(float(edges.var()) if len(edges) else 0.0, 2),
        cell_side=round((prepared.nucleus or prepared.box).side / max(height, width), 4),
        cell_red=round(float(cell_means[0]), 2),
        cell_green=round(float(cell_means[1]), 2),
        cell_blue=round(float(cell_means[2]), 2),
        wedge_share=round(1 - len(seen) / sum(where.size for where in valid), 4),
    )


def _tiles(image: Pixels) -> list[Pixels]:
    """A small image whole; of a large one squares that are spread evenly over it.

    A scaled copy would have another sharpness.
    """
    height, width = image.shape[:2]
    if height * width <= _MOST_PIXELS or min(height, width) < _TILE:
        return [image]
    count = _MOST_PIXELS // _TILE**2
    down = max(1, round(height / float(np.sqrt(height * width / count))))
    across = max(1, count // down)
    rows, columns = _starts(height, down), _starts(width, across)
    return [image[row : row + _TILE, left : left + _TILE] for row in rows for left in columns]


def _starts(side: int, count: int) -> NDArray[np.intp]:
    """Where tiles begin that lie in the middle of equal parts of a side."""
    middles = (np.arange(count) + 0.5) * side / count
    return np.clip(middles - _TILE / 2, 0, side - _TILE).astype(np.intp)


def _luminance(pixels: Pixels) -> NDArray[np.float32]:
    """Of pixels (..., 3), 0 to 255."""
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(pixels.astype(np.float32) @ weights)


def _laplacian(tile: Pixels, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Values (n,) where a tile (height, width, 3) and its neighbourhood are photographed."""
    inside = ndimage.binary_erosion(valid, iterations=2)
    return np.asarray(ndimage.laplace(_luminance(tile))[inside])


def _valid(image: Pixels) -> NDArray[np.bool_]:
    """Where the photograph is, as opposed to black wedges: (height, width)."""
    return np.asarray((image >= WEDGE_LEVEL).any(axis=-1))
