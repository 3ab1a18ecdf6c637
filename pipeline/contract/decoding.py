"""From the bytes of a photograph to upright RGB; nothing else opens an image for the network."""

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
_READERS: dict[bytes, type[ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
}
"""First bytes of a file to the one class of Pillow that may read it."""
_DAMAGE = (OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error)
"""What Pillow's readers raise over a damaged file; `Image.open` expects these too."""
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


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a JPEG or PNG to upright RGB, shape (height, width, 3).

    Raises:
        InvalidInputError: when the bytes are no whole JPEG or PNG, or too large.
    """
    try:
        with _open(data) as opened:
            _check_size(opened.size, max_pixels)
            return np.asarray(_to_rgb(_upright(opened)), dtype=np.uint8)
    except _DAMAGE as error:
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
