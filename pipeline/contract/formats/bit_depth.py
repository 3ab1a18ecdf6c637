"""Images of more than 8 bits per channel, scaled to 8 by their own maximum.

Cameras store 10, 12 or 14 bits in 16: scaled by 65,535, such an image would be black. Pillow
reduces 16-bit colour to its high bytes while it decodes. The low bytes are read by decoding once
more, as if the file had the other byte order.
"""

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_NATIVE, _FOREIGN = ("L", "B") if sys.byteorder == "little" else ("B", "L")
_LOW_BYTES = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA", "RGBX")
    for order, other in (("L", "B"), ("B", "L"), ("N", _FOREIGN))
}
"""Pillow's raw mode of 16-bit colour to the one that reads the low bytes."""
_GREY_AND_ALPHA = "LA;16B"


def load(image: ImageFile, reopen: Callable[[], ImageFile]) -> Image.Image:
    """Decode an image; 16-bit colour and grey of more than 8 bits become 8-bit RGB or RGBA.

    16-bit CMYK, and colour multiplied by its alpha, have their high bytes only.

    Args:
        image: with its header read, and no pixels.
        reopen: opens the same image again.
    """
    raw = _raw_mode(image)
    image.load()
    if raw in _LOW_BYTES:
        return _colour(image, _loaded_as(reopen(), _LOW_BYTES[raw]))
    if raw == _GREY_AND_ALPHA:
        return _grey_and_alpha(_loaded_as(reopen(), "RGBA"))
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = _without_sign(np.asarray(image, dtype=np.float64))
        if isinstance(image, TiffImageFile) and _is_white_zero(image):
            grey = grey.max() - grey
        return Image.fromarray(_stretched(grey)).convert("RGB")
    return image


def _raw_mode(image: ImageFile) -> str:
    """How Pillow will unpack the pixels, such as `RGB;16B`."""
    args = image.tile[0].args if image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _loaded_as(image: ImageFile, raw_mode: str) -> NDArray[np.uint8]:
    """Pixels (height, width, channels), unpacked in another way."""
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    return np.asarray(image)


def _colour(high: Image.Image, low: NDArray[np.uint8]) -> Image.Image:
    """8-bit RGB, or RGBA, of the high and low bytes; the channels have one scale."""
    wide = _joined(np.asarray(high)[..., :3], low[..., :3])
    rgb = Image.fromarray(_stretched(wide))
    if high.mode == "RGBA":
        rgb.putalpha(high.getchannel("A"))
    return rgb


def _grey_and_alpha(parts: NDArray[np.uint8]) -> Image.Image:
    """8-bit RGBA of grey (high, low) and alpha (high, low)."""
    wide = _joined(parts[..., 0], parts[..., 1])
    rgb = Image.fromarray(_stretched(wide)).convert("RGB")
    rgb.putalpha(Image.fromarray(parts[..., 2].copy()))
    return rgb


def _joined(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """16-bit values of their high and low bytes."""
    return np.asarray(high * np.uint16(256) + low, dtype=np.uint16)


def _without_sign(wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Finite values from 0: the smallest becomes 0 if it is negative."""
    finite = np.where(np.isfinite(wide), wide, 0.0)
    return np.asarray(finite - min(finite.min(), 0.0))


def _is_white_zero(image: TiffImageFile) -> bool:
    """Whether 0 is white, which Pillow undoes for 8 bits only."""
    return bool(image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _stretched(wide: NDArray[np.uint16] | NDArray[np.float64]) -> NDArray[np.uint8]:
    """0 to 255, divided by the maximum; an image of zeros stays black."""
    scale = 255.0 / max(float(wide.max()), 1.0)
    if wide.dtype == np.uint16:  # a table, for a tenth of the memory
        table = np.round(np.arange(1 << 16) * scale).clip(0, 255).astype(np.uint8)
        return np.asarray(table[wide])
    return np.asarray(np.round(wide * scale).clip(0, 255).astype(np.uint8))
