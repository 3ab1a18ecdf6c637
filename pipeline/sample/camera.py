"""Camera model: amounts of dye to a photograph, and augmented copies of a photograph."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipeline.sample.laboratory import Laboratory

WIDTH, HEIGHT = 320, 240
"""Size of a finished image: that of the public blood cell sets."""

SUPERSAMPLING = 2
"""Factor by which fields are drawn larger than the image, for smooth edges."""


def photograph(
    field: NDArray[np.float32], slide: Laboratory, rng: np.random.Generator
) -> Image.Image:
    """Photograph of a field: absorption, focus blur, lamp and sensor noise.

    Args:
        field: amounts of dye, shape (dyes, height, width), `SUPERSAMPLING` times the image's size.
        slide: the dyes' colours, the lamp and the camera.
        rng: draws the direction of the light and the noise.

    Returns:
        RGB, the field's size over `SUPERSAMPLING`.
    """
    image = Image.merge("RGB", [_transmitted(field, channel) for channel in slide.absorbance().T])
    blurred = np.asarray(image.filter(ImageFilter.GaussianBlur(slide.blur)), dtype=np.float32)
    light = blurred / 255 * _lamp(image.height, image.width, slide, rng)
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(slide.noise)
    return Image.fromarray(np.clip(light + noise, 0, 255).astype(np.uint8))


def augmented_copy(original: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Copy of a photograph, randomly rotated, shifted, scaled and mirrored; black outside it.

    Returns:
        RGB, of the photograph's size.
    """
    angle, zoom = np.deg2rad(rng.uniform(-25, 25)), rng.uniform(0.88, 1.12)
    mirror = rng.choice([-1, 1], 2)
    shift = rng.uniform(-1, 1, 2) * (24, 16)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    inverse = np.array([[cos, sin], [-sin, cos]]) * mirror[:, None]
    centre = np.array(original.size) / 2
    offset = centre - inverse @ (centre + shift)
    matrix = (*inverse[0], offset[0], *inverse[1], offset[1])
    return original.transform(
        original.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode an image as JPEG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _transmitted(field: NDArray[np.float32], absorbance: NDArray[np.float32]) -> Image.Image:
    """Transmitted light of one channel, 0 to 255, at each sensor pixel."""
    density = np.zeros(field.shape[1:], dtype=np.float32)
    # A loop, not a matrix product: BLAS threads wait for each other on a loaded machine.
    for dye, strength in zip(field, absorbance, strict=True):
        density += dye * strength
    return Image.fromarray((np.exp(-density) * 255).astype(np.uint8)).reduce(SUPERSAMPLING)


def _lamp(
    height: int, width: int, slide: Laboratory, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Light at each pixel of an empty slide, shape (height, width, 3)."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle = np.float32(rng.uniform(0, 2 * np.pi))
    slope = np.float32(slide.gradient) * (np.cos(angle) * x + np.sin(angle) * y)
    fall = 1 - np.float32(slide.vignette) * (x * x + y * y) / 2
    colour = np.array(slide.light, dtype=np.float32)
    return np.asarray(((1 + slope) * fall)[..., None] * colour)
