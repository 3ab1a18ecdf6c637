"""Laboratories: stain, lamp and camera, which set the look of their photographs."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

DYES = ("haemoglobin", "eosin", "azure", "methylene_blue")
"""Dyes of a Romanowsky-stained smear, in the order of every (dyes, h, w) array."""

Rgb = tuple[float, float, float]


class Laboratory(BaseModel):
    """A stain, a lamp and a camera.

    A dye's value is its optical density (natural logarithm) in red, green and blue at amount 1;
    overlapping dyes multiply their transmission (Beer-Lambert).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    haemoglobin: Rgb
    """The red cells' own pigment."""
    eosin: Rgb
    """The orange of an eosinophil's granules."""
    azure: Rgb
    """The purple of chromatin."""
    methylene_blue: Rgb
    """The blue of cytoplasm."""
    stain_spread: float = Field(ge=0, le=0.5)
    """Relative spread of each dye's strength from slide to slide."""
    light: Rgb
    """Colour of the empty background, 0 to 255."""
    light_spread: float = Field(ge=0, le=0.3)
    """Relative spread of brightness from slide to slide; a third of it for each channel."""
    gradient: float = Field(ge=0, le=0.5)
    """Largest relative gain of light from the centre to one side."""
    vignette: float = Field(ge=0, le=0.8)
    """Relative loss of light in the corners."""
    blur: float = Field(ge=0, le=4)
    """Standard deviation of the focus blur in pixels of the finished image."""
    noise: float = Field(ge=0, le=20)
    """Standard deviation of the sensor noise, of 255."""
    pixels_per_um: float = Field(ge=3, le=15)
    """Magnification: pixels of the finished image per micrometre."""
    jpeg_quality: int = Field(ge=30, le=95)

    def absorbance(self) -> NDArray[np.float32]:
        """Optical densities in red, green and blue (dyes, 3), in the order of `DYES`."""
        return np.array([getattr(self, dye) for dye in DYES], dtype=np.float32)

    def slide(self, rng: np.random.Generator) -> "Laboratory":
        """A copy with the random stain, lamp and focus of one slide."""
        strengths = 1 + self.stain_spread * rng.uniform(-1, 1, len(DYES))
        brightness = 1 + self.light_spread * rng.uniform(-1, 1)
        tint = 1 + self.light_spread / 3 * rng.uniform(-1, 1, 3)
        stained = {
            dye: tuple(strength * np.array(getattr(self, dye)))
            for dye, strength in zip(DYES, strengths, strict=True)
        }
        lit = {
            "light": tuple(np.minimum(np.array(self.light) * brightness * tint, 250.0)),
            "gradient": self.gradient * rng.uniform(0.2, 1),
            "blur": self.blur * rng.uniform(0.7, 1.3),
        }
        return self.model_copy(update=stained | lit)


IN_DOMAIN = Laboratory(
    name="home",
    haemoglobin=(0.08, 0.33, 0.36),
    eosin=(0.03, 0.62, 1.05),
    azure=(0.72, 1.25, 0.16),
    methylene_blue=(0.50, 0.20, 0.03),
    stain_spread=0.18,
    light=(221, 217, 219),
    light_spread=0.08,
    gradient=0.07,
    vignette=0.16,
    blur=0.7,
    noise=2.5,
    pixels_per_um=6.0,
    jpeg_quality=90,
)
"""In-domain: the laboratory of the demo's training images."""

OUT_OF_DOMAIN = Laboratory(
    name="other",
    haemoglobin=(0.05, 0.20, 0.16),
    eosin=(0.16, 0.75, 0.80),
    azure=(0.78, 1.70, 0.62),
    methylene_blue=(0.42, 0.30, 0.12),
    stain_spread=0.22,
    light=(240, 229, 178),
    light_spread=0.08,
    gradient=0.16,
    vignette=0.34,
    blur=1.2,
    noise=5.0,
    pixels_per_um=7.6,
    jpeg_quality=60,
)
"""Out-of-domain: another stain, a yellow lamp, another magnification, a worse camera."""
