"""From the bytes of a photograph to the square the network sees.

Training and serving both call `prepare`; nothing else in the project cuts an image for the
network. Normalisation is inside the Keras graph.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.contract.box import CellBox
from pipeline.contract.decoding import Pixels, decode
from pipeline.contract.locating import locate
from pipeline.contract.spec import ModelContract

WEDGE_LEVEL = 16
"""Pixels darker than this in all channels are the black corners that rotation leaves."""
_FRAY = 2
"""Pixels around a wedge that compression has darkened."""
_LEAST_SIDE = 24
"""Of a crop, in pixels of the photograph."""
_OVERSAMPLING = 4
"""A square this many times larger than the crop is thinned before it is resized: its memory is
bounded, however long and narrow the image."""


@dataclass(frozen=True)
class Prepared:
    """An upright image, where its cell is, and the square cut for the network."""

    image: Pixels
    """(height, width, 3) RGB, 0 to 255."""
    box: CellBox
    """What was cut."""
    nucleus: CellBox | None
    """What it was cut around; None when nothing is stained."""
    crop: Pixels
    """(input_size, input_size, 3) RGB, 0 to 255."""

    @property
    def cell_found(self) -> bool:
        """Whether a stained nucleus was located."""
        return self.nucleus is not None


def prepare(data: bytes, contract: ModelContract) -> Prepared:
    """Decode, locate, crop and resize: the whole way from bytes to the network's pixels.

    Raises:
        InvalidInputError: when the bytes are no image that `decode` accepts.
    """
    image = decode(data)
    nucleus = locate(image)
    box = _whole(image) if nucleus is None else frame(nucleus, image, contract)
    return Prepared(image, box, nucleus, crop(image, box, contract.input_size))


def frame(nucleus: CellBox, image: Pixels, contract: ModelContract) -> CellBox:
    """The square to cut around a nucleus: at the contract's scale, or larger if that needs it."""
    at_scale = contract.crop_share * max(image.shape[:2])
    return nucleus.resized(
        max(round(at_scale), round(contract.crop_margin * nucleus.side), _LEAST_SIDE)
    )


def crop(image: Pixels, box: CellBox, size: int) -> Pixels:
    """Cut a square and resize it.

    What lies over the border, or in a black wedge that reaches the square's edge, says nothing of
    the cell: it is painted in the photograph's median colour.

    Args:
        image: (height, width, 3) RGB.
        box: what to cut.
        size: side of the result.
    """
    step = max(1, box.side // (_OVERSAMPLING * size))
    rows, columns = (np.arange(start, start + box.side, step) for start in (box.top, box.left))
    square = _cut(image, rows, columns)
    blank = _blank(square)
    if blank.any():
        square[blank] = _median_colour(image)
    resized = Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.uint8)


def photographed(image: Pixels) -> NDArray[np.bool_]:
    """Where the photograph is (height, width), as opposed to black wedges."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return np.asarray(np.maximum(np.maximum(red, green), blue) >= WEDGE_LEVEL)


def _cut(image: Pixels, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Pixels:
    """Those rows and columns of an image, black where it has none."""
    square = np.zeros((len(rows), len(columns), 3), np.uint8)
    (to_rows, from_rows), (to_columns, from_columns) = (
        _inside(places, side) for places, side in zip((rows, columns), image.shape[:2], strict=True)
    )
    square[to_rows, to_columns] = image[from_rows, from_columns]
    return square


def _inside(places: NDArray[np.intp], side: int) -> tuple[slice, slice]:
    """Which of evenly spaced places lie within a side: among the places, and along the side."""
    first, last = np.searchsorted(places, [0, side])
    if first == last:
        return slice(0, 0), slice(0, 0)
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    return slice(first, last), slice(int(places[first]), int(places[last - 1]) + 1, step)


def _blank(square: Pixels) -> NDArray[np.bool_]:
    """Black areas that reach the edge of a square (side, side, 3), and their frayed borders."""
    dark = ~photographed(square)
    if not dark.any():
        return dark
    labels, count = ndimage.label(dark)
    reaches_edge = np.zeros(count + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        reaches_edge[edge] = True
    reaches_edge[0] = False
    blank = reaches_edge[labels]
    return np.asarray(ndimage.binary_dilation(blank, iterations=_FRAY))


def _median_colour(image: Pixels) -> Pixels:
    """Median of each channel (3,) over what is photographed; black where nothing is."""
    step = max(1, min(image.shape[:2]) // 64)
    pixels = image[::step, ::step].reshape(-1, 3)
    seen = pixels[photographed(pixels)]
    return np.median(seen.T.copy(), axis=1).astype(np.uint8) if len(seen) else np.zeros(3, np.uint8)


def _whole(image: Pixels) -> CellBox:
    height, width = image.shape[:2]
    side = max(height, width)
    return CellBox(left=(width - side) // 2, top=(height - side) // 2, side=side)
