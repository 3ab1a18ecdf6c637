"""Images for benchmarks: a drawn smear, the same at another size, and random crops."""

import io

import numpy as np
from PIL import Image

from pipeline.contract.decoding import Pixels
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import IN_DOMAIN

CAMERA = (4000, 3000)
"""Width and height of a microscope camera's photograph: 12 megapixels."""


def drawn_jpeg() -> bytes:
    """A JPEG of 320 x 240 pixels, always the same."""
    ((_, image),) = draw_images(1, 1, IN_DOMAIN)
    return image


def resize_jpeg(image: bytes, size: tuple[int, int], quality: int = 75) -> bytes:
    """Resize a JPEG to a width and height and encode it again."""
    out = io.BytesIO()
    resized = Image.open(io.BytesIO(image)).resize(size, Image.Resampling.BICUBIC)
    resized.save(out, "JPEG", quality=quality)
    return out.getvalue()


def random_crops(count: int, side: int) -> Pixels:
    """Random pixels (count, side, side, 3): speed does not depend on them."""
    return np.random.default_rng(1).integers(0, 256, (count, side, side, 3), np.uint8)
