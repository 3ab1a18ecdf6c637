"""From the bytes of a photograph to the square the network sees.

Training and serving both call `prepare`; nothing else in the project decodes or crops an image
for the network. Normalisation is inside the Keras graph.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError

MAX_PIXELS = 24_000_000
_READERS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
}
"""First bytes of a file to the one class of Pillow that may read it."""
_SEARCH_SIDE = 160
"""The cell is searched for in a copy whose longer side has this many pixels."""

_OVERSAMPLING = 8
"""A square this many times larger than the crop is thinned before it is resized: its memory is
bounded, however long and narrow the image."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that undoes it."""

Pixels = NDArray[np.uint8]


class CellBox(BaseModel):
    """A square in pixels of the upright image; it may reach over the border."""

    model_config = ConfigDict(frozen=True)

    left: int
    top: int
    side: int


@dataclass(frozen=True)
class Prepared:
    """An upright image, where its cell is, and the square cut for the network."""

    image: Pixels
    """(height, width, 3) RGB, 0 to 255."""
    box: CellBox
    cell_found: bool
    crop: Pixels
    """(input_size, input_size, 3) RGB, 0 to 255."""


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a JPEG or PNG to upright RGB, shape (height, width, 3).

    Raises:
        InvalidInputError: when the bytes are no whole JPEG or PNG, or too large.
    """
    try:
        with _open(data) as opened:
            _check_size(opened.size, max_pixels)
            return np.asarray(_to_rgb(_upright(opened)), dtype=np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise _unreadable(str(error)) from error


def _open(data: bytes) -> ImageFile:
    """Read a header and no pixels.

    `Image.open` would warn of large images, or refuse them, before their size is known here; to
    turn that off takes the process's warning filters, which threads share.
    """
    for start, reader in _READERS.items():
        if data.startswith(start):
            return reader(io.BytesIO(data))
    raise _unreadable("bytes of another kind")


def _unreadable(received: str) -> InvalidInputError:
    return InvalidInputError(
        "the image cannot be read", expected="a whole JPEG or PNG", received=received
    )


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise InvalidInputError(
            "the image is too large",
            expected=f"at most {max_pixels} pixels",
            received=f"{size[0]}x{size[1]}",
        )


def _upright(image: Image.Image) -> Image.Image:
    """Turned as EXIF says; Pillow's own turn writes EXIF anew, and fails where it is damaged."""
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    """RGB on white: transparent parts of a scan are paper, not ink."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        wide = np.asarray(image, dtype=np.float64)
        return Image.fromarray((wide / max(wide.max(), 1.0) * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image.convert("RGB")


def locate(image: Pixels, margin: float) -> CellBox | None:
    """The square around the stained nucleus, or None when nothing is stained.

    Nuclei take up the violet dye: they are the part where blue and red both exceed green. The
    largest such blob wins; lobes near it belong to it.

    Args:
        image: (height, width, 3) RGB.
        margin: side of the square over the larger side of the nucleus.
    """
    height, width = image.shape[:2]
    step = max(1, round(max(height, width) / _SEARCH_SIDE))
    small = image[::step, ::step].astype(np.float32)
    purple = ndimage.gaussian_filter(_purple(small), 1.0)
    mask = purple > max(_threshold(purple), 12.0)
    nucleus = _nucleus(mask)
    if nucleus is None:
        return None
    top, bottom, left, right = (edge * step for edge in nucleus)
    side = max(round(max(bottom - top, right - left) * margin), 24)
    return CellBox(
        left=round((left + right) / 2 - side / 2),
        top=round((top + bottom) / 2 - side / 2),
        side=side,
    )


def _purple(image: NDArray[np.float32]) -> NDArray[np.float32]:
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return (blue - green) + 0.5 * (red - green)


def _threshold(values: NDArray[np.float32]) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 1979): the split with most variance between sides."""
    counts, edges = np.histogram(values, bins=64)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # A side without pixels has no mean; a grey image has no other sides.
    return float(centres[int(np.argmax(np.nan_to_num(np.where(above > 0, between, 0))))])


def _nucleus(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Edges (top, bottom, left, right) of the largest blob and the lobes near it."""
    labels, count = ndimage.label(ndimage.binary_opening(mask))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max() < mask.size * 0.002:
        return None
    largest = int(np.argmax(sizes)) + 1
    reach = max(2, round(0.35 * float(np.sqrt(sizes.max()))))
    near = ndimage.binary_dilation(labels == largest, iterations=reach)
    lobes = {
        label
        for label in np.unique(labels[near & (labels > 0)])
        if sizes[label - 1] >= 0.05 * sizes.max()
    }
    rows, columns = np.nonzero(np.isin(labels, list(lobes)))
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


def crop(image: Pixels, box: CellBox, size: int) -> Pixels:
    """Cut a square, repeating edge pixels where it reaches over the border, and resize it."""
    height, width = image.shape[:2]
    step = max(1, box.side // (_OVERSAMPLING * size))
    rows = np.clip(np.arange(box.top, box.top + box.side, step), 0, height - 1)
    columns = np.clip(np.arange(box.left, box.left + box.side, step), 0, width - 1)
    square = Image.fromarray(image[np.ix_(rows, columns)])
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def prepare(data: bytes, contract: ModelContract) -> Prepared:
    """Decode, locate, crop and resize: the whole way from bytes to the network's pixels.

    Raises:
        InvalidInputError: when the bytes are no image that `decode` accepts.
    """
    image = decode(data)
    found = locate(image, contract.crop_margin)
    box = found or _whole(image)
    return Prepared(image, box, found is not None, crop(image, box, contract.input_size))


def _whole(image: Pixels) -> CellBox:
    height, width = image.shape[:2]
    side = max(height, width)
    return CellBox(left=(width - side) // 2, top=(height - side) // 2, side=side)
