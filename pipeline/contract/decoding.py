"""Decode a JPEG or PNG to upright RGB; no other code opens an image for the network."""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from pipeline.errors import InvalidInputError

MAX_PIXELS = 24_000_000
"""Largest image, width times height, that training and serving decode."""
_READERS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
}
"""Signature of a file to the Pillow class that reads it; other formats are rejected."""
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error)
"""Exceptions of Pillow's readers on a damaged file; `Image.open` catches the same."""
_TRANSPOSE = {
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


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Upright RGB (height, width, 3) of a JPEG or PNG; InvalidInputError for anything else.

    Raises:
        InvalidInputError: when the bytes are no complete JPEG or PNG, or the image has more than
            `max_pixels` (read from the header, before any pixel is decoded).
    """
    try:
        with _open_image(data) as opened:
            _check_size(opened.size, max_pixels)
            return np.asarray(_to_rgb(_upright(opened)), dtype=np.uint8)
    except _DECODE_ERRORS as error:
        raise _unreadable_error(str(error)) from error


def _open_image(data: bytes) -> ImageFile:
    """Read the header, no pixels; InvalidInputError if the signature is of no JPEG or PNG.

    `Image.open` warns of large images or rejects them before `_check_size` can. Disabling that
    would change the process's warning filters, which all threads share.
    """
    for start, reader in _READERS.items():
        if data.startswith(start):
            return reader(io.BytesIO(data))
    raise _unreadable_error("another file format")


def _unreadable_error(received: str) -> InvalidInputError:
    return InvalidInputError(
        "the image cannot be read", expected="a complete JPEG or PNG", received=received
    )


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise InvalidInputError(
            "the image is too large",
            expected=f"at most {max_pixels} pixels",
            received=f"{size[0]}x{size[1]}",
        )


def _upright(image: Image.Image) -> Image.Image:
    """The image, transposed by its EXIF orientation.

    `ImageOps.exif_transpose` also rewrites the EXIF data, which fails if they are damaged.
    """
    method = _TRANSPOSE.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; wider values are scaled by the image's maximum, transparency becomes white."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        wide = np.asarray(image, dtype=np.float64)
        return Image.fromarray((wide / max(wide.max(), 1.0) * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        background = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(background, layer).convert("RGB")
    return image.convert("RGB")
