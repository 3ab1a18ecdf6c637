"""Plain statistics of a photograph, the same for training, serving and drift."""

import numpy as np
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


def image_stats(prepared: Prepared) -> ImageStats:
    """Measure a prepared image."""
    image, cell = prepared.image, prepared.crop
    valid = _valid(image)
    pixels = image[valid] if valid.any() else image.reshape(-1, 3)
    means = pixels.mean(axis=0, dtype=np.float64)
    cell_valid = _valid(cell)
    cell_pixels = cell[cell_valid] if cell_valid.any() else cell.reshape(-1, 3)
    cell_means = cell_pixels.mean(axis=0, dtype=np.float64)
    luminance = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    inside = ndimage.binary_erosion(valid, iterations=2)
    laplacian = ndimage.laplace(luminance)[inside] if inside.any() else np.zeros(1, np.float32)
    height, width = image.shape[:2]
    return ImageStats(
        width=width,
        height=height,
        red=round(float(means[0]), 2),
        green=round(float(means[1]), 2),
        blue=round(float(means[2]), 2),
        contrast=round(float(luminance[valid].std()) if valid.any() else 0.0, 2),
        sharpness=round(float(laplacian.var()), 2),
        cell_side=round((prepared.nucleus or prepared.box).side / max(height, width), 4),
        cell_red=round(float(cell_means[0]), 2),
        cell_green=round(float(cell_means[1]), 2),
        cell_blue=round(float(cell_means[2]), 2),
        wedge_share=round(float(1 - valid.mean()), 4),
    )


def _valid(image: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Where the photograph is, as opposed to black wedges: (height, width)."""
    return np.asarray((image >= WEDGE_LEVEL).any(axis=-1))
