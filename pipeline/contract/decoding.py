"""Decode an image to upright RGB; no other code opens an image for the network."""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile

from pipeline.contract.files.image_signatures import SIGNATURE_BYTES, format_name
from pipeline.contract.formats.bit_depth import load
from pipeline.contract.formats.image_formats import (
    ARCHIVE_FORMATS,
    SERVED_FORMATS,
    check_header,
    expected_formats,
    open_image,
    require_format,
)
from pipeline.errors import InvalidInputError

MAX_PIXELS = 24_000_000
"""Largest image, width times height, that training and serving decode."""
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error)
"""Exceptions of Pillow's readers on a damaged file; `Image.open` catches the same."""
_TRANSPOSE: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the transposition that makes the image upright."""

Pixels = NDArray[np.uint8]


def decode(
    data: bytes, *, formats: tuple[str, ...] = ARCHIVE_FORMATS, max_pixels: int = MAX_PIXELS
) -> Pixels:
    """Upright RGB (height, width, 3) of an image; InvalidInputError if it cannot be read.

    The pixels of an image do not depend on the lossless format that stores them.

    Args:
        data: of the file.
        formats: those that are read, of `ARCHIVE_FORMATS`; the service reads `SERVED_FORMATS`.
        max_pixels: width times height, read from the header before any pixel is decoded.

    Raises:
        InvalidInputError: when the bytes are no complete image of these formats, or it has too
            many pixels.
    """
    require_format(data, formats)
    try:
        with _open_image(data) as opened:
            check_header(opened, len(data), max_pixels)
            loaded = load(opened, lambda: open_image(data))
            # After loading, in which Pillow turns a TIFF upright.
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
            if isinstance(opened, BmpImageFile):
                loaded = _without_empty_alpha(loaded)
            return np.asarray(_to_rgb(_upright(loaded, orientation)), dtype=np.uint8)
    except _DECODE_ERRORS as error:
        raise InvalidInputError(
            "the image cannot be read",
            expected=f"a complete {expected_formats(formats)}",
            received=str(error),
        ) from error


def served_copy(data: bytes) -> bytes:
    """The data if the service reads their format, else a PNG of the same pixels.

    Raises:
        InvalidInputError: when the image cannot be read.
    """
    if format_name(data[:SIGNATURE_BYTES]) in SERVED_FORMATS:
        return data
    out = io.BytesIO()
    Image.fromarray(decode(data)).save(out, "PNG")
    return out.getvalue()


def _open_image(data: bytes) -> ImageFile:
    """The image with its header read; each image is opened once."""
    return open_image(data)


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    """The image, transposed by its EXIF orientation.

    `ImageOps.exif_transpose` also rewrites the EXIF data, which fails if they are damaged.
    """
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def _without_empty_alpha(image: Image.Image) -> Image.Image:
    """The image without alpha if it is 0 everywhere: writers of BMP leave the fourth byte empty."""
    if image.mode == "RGBA" and not np.asarray(image.getchannel("A")).any():
        return image.convert("RGB")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; transparency becomes white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        background = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")
