"""Preprocessing: decode an image, locate its cell, crop and resize it for the network.

Training and serving both call `prepare`; no other code crops an image for the network.
Normalisation is inside the Keras graph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.contract.cell_box import CellBox
from pipeline.contract.decoding import Pixels, decode
from pipeline.contract.formats.image_formats import ARCHIVE_FORMATS
from pipeline.contract.locating import locate_nucleus
from pipeline.contract.model_contract import ModelContract

WEDGE_LEVEL = 16
"""Pixels darker than this in all channels belong to the black corners of a rotated image."""
_WEDGE_BORDER = 2
"""Width in pixels of the border of a wedge, which compression darkens."""
_MIN_CROP_SIDE = 24
"""In pixels of the photograph."""
_OVERSAMPLING = 4
"""Larger squares are first subsampled to at least this many times the crop's size, so that memory
is bounded for long and narrow images."""


@dataclass(frozen=True)
class Prepared:
    """An upright image, the square around its cell, and the crop for the network."""

    image: Pixels
    """(height, width, 3) RGB, 0 to 255."""
    box: CellBox
    """The cropped square."""
    nucleus: CellBox | None
    """The located nucleus; None when nothing is stained."""
    crop: Pixels
    """(input_size, input_size, 3) RGB, 0 to 255."""

    @property
    def cell_found(self) -> bool:
        """Whether a stained nucleus was located."""
        return self.nucleus is not None


def prepare(
    data: bytes, contract: ModelContract, formats: tuple[str, ...] = ARCHIVE_FORMATS
) -> Prepared:
    """Decode, locate, crop and resize an image; InvalidInputError if `decode` rejects it."""
    return prepare_pixels(decode(data, formats=formats), contract)


def prepare_pixels(image: Pixels, contract: ModelContract) -> Prepared:
    """Locate, crop and resize a decoded image, (height, width, 3) RGB."""
    nucleus = locate_nucleus(image)
    box = _whole_square(image) if nucleus is None else crop_box(nucleus, image, contract)
    return Prepared(image, box, nucleus, crop(image, box, contract.input_size))


def crop_box(nucleus: CellBox, image: Pixels, contract: ModelContract) -> CellBox:
    """The square to crop around a nucleus: at the contract's scale, larger for a large nucleus."""
    at_scale = contract.crop_share * max(image.shape[:2])
    return nucleus.resized(
        max(round(at_scale), round(contract.crop_margin * nucleus.side), _MIN_CROP_SIDE)
    )


def crop(image: Pixels, box: CellBox, size: int) -> Pixels:
    """Crop a square, resized to (size, size, 3); outside the image it has the median colour.

    So has a black wedge that reaches the square's edge, since it shows nothing of the cell.

    Args:
        image: (height, width, 3) RGB.
        box: the square; it may reach over the border.
        size: side of the result in pixels.
    """
    step = max(1, box.side // (_OVERSAMPLING * size))
    rows, columns = (np.arange(start, start + box.side, step) for start in (box.top, box.left))
    square = _sample(image, rows, columns)
    outside = _black_corners(square)
    if outside.any():
        square[outside] = _median_colour(image)
    resized = Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)


def photograph_mask(image: Pixels) -> NDArray[np.bool_]:
    """Mask of the pixels that are not in the black corners of a rotated image.

    Pixels are (..., 3), the mask (...).
    """
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return np.asarray(np.maximum(np.maximum(red, green), blue) >= WEDGE_LEVEL)


def _sample(image: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Pixels:
    """Pixels at these rows and columns of an image; black where they lie outside of it."""
    square = np.zeros((len(rows), len(columns), 3), np.uint8)
    (to_rows, from_rows), (to_columns, from_columns) = (
        _inside(indexes, side)
        for indexes, side in zip((rows, columns), image.shape[:2], strict=True)
    )
    square[to_rows, to_columns] = image[from_rows, from_columns]
    return square


def _inside(indexes: NDArray[np.intp], side: int) -> tuple[slice, slice]:
    """Slice of evenly spaced `indexes` within 0 to `side`, and the slice of pixels it selects."""
    first, last = np.searchsorted(indexes, [0, side])
    if first == last:
        return slice(0, 0), slice(0, 0)
    step = int(indexes[1] - indexes[0]) if len(indexes) > 1 else 1
    return slice(first, last), slice(int(indexes[first]), int(indexes[last - 1]) + 1, step)


def _black_corners(square: Pixels) -> NDArray[np.bool_]:
    """Mask (side, side) of black areas that reach the square's edge, with their dark borders."""
    dark = ~photograph_mask(square)
    if not dark.any():
        return dark
    labels, count = ndimage.label(dark)
    reaches_edge = np.zeros(count + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        reaches_edge[edge] = True
    reaches_edge[0] = False
    black = reaches_edge[labels]
    return np.asarray(ndimage.binary_dilation(black, iterations=_WEDGE_BORDER))


def _median_colour(image: Pixels) -> Pixels:
    """Median (3,) of the photographed pixels; black if there are none."""
    step = max(1, min(image.shape[:2]) // 64)
    pixels = image[::step, ::step].reshape(-1, 3)
    valid = pixels[photograph_mask(pixels)]
    if not len(valid):
        return np.zeros(3, np.uint8)
    return np.asarray(np.median(valid.T.copy(), axis=1), dtype=np.uint8)


def _whole_square(image: Pixels) -> CellBox:
    """The smallest square around the image, with the same centre."""
    height, width = image.shape[:2]
    side = max(height, width)
    return CellBox(left=(width - side) // 2, top=(height - side) // 2, side=side)
