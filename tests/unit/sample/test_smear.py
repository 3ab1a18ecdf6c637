import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.sample.camera import HEIGHT, WIDTH
from pipeline.sample.cells import CLASSES
from pipeline.sample.laboratory import IN_DOMAIN, OUT_OF_DOMAIN, Laboratory
from pipeline.sample.smear import draw_photograph


@pytest.mark.parametrize("laboratory", [IN_DOMAIN, OUT_OF_DOMAIN], ids=lambda lab: lab.name)
@pytest.mark.parametrize("label", CLASSES)
def test_the_nucleus_is_the_most_purple_object(label: str, laboratory: Laboratory) -> None:
    """The maximum of purple is in the white cell, at most 60 pixels off the centre."""
    image = draw_photograph(label, np.random.default_rng(8), laboratory)
    red, green, blue = np.moveaxis(np.asarray(image, dtype=float), 2, 0)
    purple = gaussian_filter((blue - green) + 0.5 * (red - green), 4)
    y, x = np.unravel_index(purple.argmax(), purple.shape)
    radius = 10 * laboratory.pixels_per_um
    assert abs(x - WIDTH / 2) <= 60 + radius
    assert abs(y - HEIGHT / 2) <= 36 + radius
    assert purple.max() > 3 * np.percentile(purple, 80)


def test_slides_of_one_laboratory_differ() -> None:
    """Stain and lamp vary from slide to slide, within the laboratory's spread."""
    slides = [IN_DOMAIN.slide(np.random.default_rng(seed)) for seed in range(8)]
    assert len({slide.azure for slide in slides}) == len({slide.light for slide in slides}) == 8
    strengths = np.array([slide.azure for slide in slides]) / IN_DOMAIN.azure
    assert np.abs(strengths - 1).max() <= IN_DOMAIN.stain_spread + 1e-6
