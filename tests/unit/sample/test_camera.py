import numpy as np
from PIL import Image

from pipeline.sample.camera import HEIGHT, WIDTH, augmented_copy, photograph
from pipeline.sample.laboratory import DYES, IN_DOMAIN


def test_a_rotated_photograph_has_black_wedges() -> None:
    """Pixels outside the photograph are black, as in the public set."""
    white = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pixels = np.asarray(augmented_copy(white, np.random.default_rng(2)))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == 0).all(axis=1).sum() >= 2
    assert (pixels[HEIGHT // 2, WIDTH // 2] == 255).all()


def test_an_empty_slide_has_the_lamps_colour_and_vignette() -> None:
    """The centre has the lamp's colour, and the corners are darker."""
    empty = np.zeros((len(DYES), 240, 320), dtype=np.float32)
    slide = IN_DOMAIN.model_copy(update={"gradient": 0.0, "noise": 0.0})
    pixels = np.asarray(photograph(empty, slide, np.random.default_rng(0)), dtype=float)
    assert np.abs(pixels[60, 80] - slide.light).max() < 2
    assert pixels[0, 0].mean() < pixels[60, 80].mean() * (1 - 0.9 * slide.vignette)


def test_overlapping_dye_multiplies() -> None:
    """Twice the dye squares the transmission (Beer-Lambert)."""
    slide = IN_DOMAIN.model_copy(update={"gradient": 0.0, "noise": 0.0, "vignette": 0.0})
    through = []
    for amount in (0.5, 1.0):
        field = np.zeros((len(DYES), 16, 16), dtype=np.float32)
        field[DYES.index("azure")] = amount
        image = photograph(field, slide, np.random.default_rng(0))
        through.append(np.asarray(image, dtype=float)[4, 4] / slide.light)
    assert np.abs(through[0] ** 2 - through[1]).max() < 0.02
