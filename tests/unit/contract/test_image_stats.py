"""Statistics of a photograph."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from pipeline.contract.decoding import Pixels
from pipeline.contract.image_stats import STATISTICS, ImageStats, common_statistics, image_stats
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare

CONTRACT = ModelContract(name="cells", classes=("ROUND", "LOBED"))
FIRST_LINE = (
    '{"width": 320, "height": 240, "red": 180.0, "green": 150.0, "blue": 170.0, "contrast": 30.0,'
    ' "sharpness": 400.0, "cell_side": 0.4, "cell_red": 140.0, "cell_green": 90.0,'
    ' "cell_blue": 150.0, "wedge_share": 0.1}'
)
"""Statistics as 0.1.0 logs them: never add to it."""


def measured(image: Pixels) -> ImageStats:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return image_stats(prepare(out.getvalue(), CONTRACT))


def photograph(cell_image: Callable[..., bytes]) -> Pixels:
    return prepare(cell_image(0), CONTRACT).image


def test_a_plain_image_has_its_colour_and_no_contrast() -> None:
    """Means of the channels are in 0 to 255."""
    stats = measured(np.full((48, 64, 3), (200, 150, 100), np.uint8))
    assert (stats.red, stats.green, stats.blue) == (200, 150, 100)
    assert (stats.cell_red, stats.cell_green, stats.cell_blue) == (200, 150, 100)
    assert (stats.width, stats.height) == (64, 48)
    assert stats.contrast == stats.sharpness == stats.wedge_share == 0


def test_black_wedges_change_only_their_share(cell_image: Callable[..., bytes]) -> None:
    """Black corners of an augmented copy are left out of every drift statistic."""
    clean = photograph(cell_image)
    wedged = clean.copy()
    for row in range(60):
        wedged[row, : 60 - row] = 0
    before, after = measured(clean), measured(wedged)
    assert after.wedge_share == pytest.approx(60 * 61 / 2 / (320 * 240), abs=1e-4)
    for name in STATISTICS:
        assert getattr(after, name) == pytest.approx(getattr(before, name), rel=0.05), name


def test_blur_lowers_sharpness(cell_image: Callable[..., bytes]) -> None:
    """Sharpness detects a microscope out of focus."""
    image = photograph(cell_image)
    blurred = np.asarray(Image.fromarray(image).reduce(4).resize((320, 240)))
    assert measured(blurred).sharpness < measured(image).sharpness / 2


def test_another_stain_changes_the_colour_of_the_cell(cell_image: Callable[..., bytes]) -> None:
    """A shift of the blue channel changes both means alike."""
    image = photograph(cell_image)
    shifted = image.copy()
    shifted[..., 2] = np.clip(image[..., 2].astype(int) - 20, 0, 255)
    before, after = measured(image), measured(shifted)
    assert before.blue - after.blue == pytest.approx(20, abs=0.5)
    assert before.cell_blue - after.cell_blue == pytest.approx(20, abs=3)


def test_an_all_black_image_is_measured() -> None:
    """Its statistics are finite, not an error."""
    stats = measured(np.zeros((40, 40, 3), np.uint8))
    assert stats.wedge_share == 1
    assert all(np.isfinite(getattr(stats, name)) for name in STATISTICS)


@pytest.mark.parametrize("size", [(1600, 1200), (5000, 70), (400, 3000)])
def test_a_large_image_is_measured_by_tiles(
    cell_image: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """Evenly spaced tiles give the statistics of the whole image, to 2 % of the range."""
    large = np.asarray(Image.fromarray(photograph(cell_image)).resize(size))
    parts = measured(large)
    monkeypatch.setattr("pipeline.contract.image_stats._MAX_PIXELS", large.size)
    complete = measured(large)
    assert (parts.width, parts.height) == size
    for name in ("red", "green", "blue", "contrast"):
        assert getattr(parts, name) == pytest.approx(getattr(complete, name), abs=4), name
    assert parts.cell_red == complete.cell_red


def test_statistics_follow_their_definitions() -> None:
    """Colour, contrast and sharpness of the valid pixels, by NumPy and SciPy."""
    image = np.random.default_rng(4).integers(0, 256, (60, 80, 3), np.uint8)
    image[:20, :30] = 3
    stats = measured(image)
    valid = (image >= 16).any(axis=-1)
    light = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    inside = ndimage.binary_erosion(valid, iterations=2)
    means = image[valid].mean(axis=0)
    assert (stats.red, stats.green, stats.blue) == pytest.approx(tuple(means), abs=0.006)
    assert stats.contrast == pytest.approx(light[valid].std(), abs=0.006)
    assert stats.sharpness == pytest.approx(ndimage.laplace(light)[inside].var(), rel=1e-5)
    assert stats.wedge_share == pytest.approx(1 - valid.mean(), abs=1e-4)


def test_the_first_log_lines_still_load() -> None:
    """A statistic added later has a default, so that old lines and references can be read."""
    ImageStats.model_validate_json(FIRST_LINE)


def test_a_statistic_is_comparable_once_every_image_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line without the new statistic is enough to leave it out."""

    class WithHaze(ImageStats):
        haze: float | None = None

    monkeypatch.setattr("pipeline.contract.image_stats.STATISTICS", (*STATISTICS, "haze"))
    old = WithHaze.model_validate_json(FIRST_LINE)
    new = old.model_copy(update={"haze": 0.2})
    assert common_statistics([new, new]) == ((*STATISTICS, "haze"), ())
    assert common_statistics([new, old]) == (STATISTICS, ("haze",))
