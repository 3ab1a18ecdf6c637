"""Two photographs are of one cell when a map brings them together and nucleus lands on nucleus."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.contract.decoding import decode
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import HOME
from pipeline.steps.cells.matching.keypoints import keypoints, mirrored
from pipeline.steps.cells.matching.overlap import SAME_FIELD, overlap
from pipeline.steps.cells.matching.view import Nucleus, View, view

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def cells() -> list[Pixels]:
    """Photographs of two cells, (240, 320, 3)."""
    return [decode(data) for _, data in draw_images(3, 2, HOME)]


def _turned(image: Pixels, angle: float, scale: float) -> Pixels:
    turned = Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC)
    size = round(turned.width * scale), round(turned.height * scale)
    out = io.BytesIO()
    turned.resize(size).save(out, "JPEG", quality=85)
    return decode(out.getvalue())


@pytest.mark.parametrize("mirror", [False, True])
def test_a_turned_copy_is_found(cells: list[Pixels], mirror: bool) -> None:
    """A copy that is turned, smaller, compressed and perhaps mirrored lies where the map says."""
    copy = _turned(cells[0][:, ::-1] if mirror else cells[0], 20, 0.8)
    found = overlap(view(cells[0]), view(copy), 15)
    assert found is not None
    assert found.inliers >= 40
    assert found.same_nucleus
    assert (np.linalg.det(found.map[:, :2]) < 0) == mirror
    middle = np.array([160, 120]) / 320
    np.testing.assert_allclose(found.map @ [*middle, 1], middle, atol=0.01)


def test_other_cells_have_no_overlap(cells: list[Pixels]) -> None:
    """Photographs of two cells are not brought together."""
    assert overlap(view(cells[0]), view(cells[1]), 15) is None


def test_neighbouring_fields_are_two_cells(cells: list[Pixels]) -> None:
    """Photographs that share half of their field, each with a cell of its own, are not one cell."""
    field = np.concatenate(cells, axis=1)
    height, half = field.shape[0], field.shape[1] // 4
    shifted = field[:, half : 3 * half]
    first, second = field[:, : 2 * half].copy(), shifted.copy()
    background = np.median(field.reshape(-1, 3), axis=0).astype(np.uint8)
    # What both show keeps its red cells; each cell is then stamped into what only one shows.
    nucleus = np.array([90, 40, 150], np.uint8)
    for image, left in ((first, 20), (second, 2 * half - 70)):
        purple = image[..., 2].astype(int) - image[..., 1] > 30
        image[purple] = background
        image[height // 2 - 25 : height // 2 + 25, left : left + 50] = nucleus
    found = overlap(view(first), view(second), 15)
    assert found is not None
    assert not found.same_nucleus
    assert found.share < SAME_FIELD


def test_copies_that_name_other_cells_are_one_field(cells: list[Pixels]) -> None:
    """In a photograph of two cells each copy may locate another: nearly the whole field agrees."""
    one = view(cells[0])
    other = view(cells[0])
    assert one.nucleus is not None
    moved = Nucleus(x=1 - one.nucleus.x, y=0.05, half=0.02)
    found = overlap(one, View(other.keypoints, moved, other.seen), 15)
    assert found is not None
    assert not found.same_nucleus
    assert found.share > SAME_FIELD


def test_a_stamp_is_no_overlap() -> None:
    """What all photographs of a camera carry, in one small place, does not bring them together."""
    rng = np.random.default_rng(0)
    stamp = rng.integers(0, 255, (14, 14, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    views = []
    for level in (180, 200):
        image = np.full((240, 320, 3), level, np.uint8)
        image[200:228, 280:308] = stamp
        views.append(view(image))
    assert min(len(one.keypoints.points) for one in views) >= 10
    assert overlap(views[0], views[1], 6) is None


def test_wedges_have_no_keypoints(cells: list[Pixels]) -> None:
    """The rim of a black wedge belongs to the copy and not to the photograph."""
    image = cells[0].copy()
    image[:, :100] = 0
    assert (keypoints(image).points[:, 0] * 320).min() > 103


def test_mirrored_descriptors_are_those_of_the_mirrored_image(cells: list[Pixels]) -> None:
    """Without a second look: half of them at least come out alike, and twice is no change."""
    here, there = keypoints(cells[0]), keypoints(cells[0][:, ::-1])
    np.testing.assert_array_equal(mirrored(mirrored(here.descriptors)), here.descriptors)
    expected = np.array([1 - 1 / 320, 0]) + here.points * [-1, 1]
    apart = np.abs(expected[:, None] - there.points[None]).max(axis=-1)
    close = apart.min(axis=1) < 0.5 / 320
    one = mirrored(here.descriptors)[close].astype(int)
    other = there.descriptors[apart.argmin(axis=1)[close]].astype(int)
    alike = np.linalg.norm(one - other, axis=1) < 120
    assert alike.mean() > 0.5
