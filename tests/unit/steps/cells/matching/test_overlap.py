"""An affine map registers two photographs; they show one cell if the nuclei coincide."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.contract.decoding import decode
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import IN_DOMAIN
from pipeline.steps.cells.matching.fingerprint import Fingerprint, Nucleus, extract_fingerprint
from pipeline.steps.cells.matching.keypoints import detect_keypoints, mirrored
from pipeline.steps.cells.matching.overlap import SAME_FIELD, find_overlap

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def cells() -> list[Pixels]:
    """Photographs of two cells, (240, 320, 3)."""
    return [decode(data) for _, data in draw_images(3, 2, IN_DOMAIN)]


def _rotated(image: Pixels, angle: float, scale: float) -> Pixels:
    rotated = Image.fromarray(image).rotate(angle, Image.Resampling.BICUBIC)
    size = round(rotated.width * scale), round(rotated.height * scale)
    out = io.BytesIO()
    rotated.resize(size).save(out, "JPEG", quality=85)
    return decode(out.getvalue())


@pytest.mark.parametrize("mirror", [False, True])
def test_a_rotated_copy_is_matched(cells: list[Pixels], mirror: bool) -> None:
    """The map of a rotated, scaled, compressed and perhaps mirrored copy is accurate to 1 %."""
    copy = _rotated(cells[0][:, ::-1] if mirror else cells[0], 20, 0.8)
    overlap = find_overlap(extract_fingerprint(cells[0]), extract_fingerprint(copy), 15)
    assert overlap is not None
    assert overlap.inliers >= 40
    assert overlap.same_nucleus
    assert (np.linalg.det(overlap.map[:, :2]) < 0) == mirror
    middle = np.array([160, 120]) / 320
    np.testing.assert_allclose(overlap.map @ [*middle, 1], middle, atol=0.01)


def test_other_cells_have_no_overlap(cells: list[Pixels]) -> None:
    """Photographs of two cells have no common affine map."""
    assert find_overlap(extract_fingerprint(cells[0]), extract_fingerprint(cells[1]), 15) is None


def test_neighbouring_fields_are_two_cells(cells: list[Pixels]) -> None:
    """Photographs that share half of their field, each with a cell of its own, do not match."""
    field = np.concatenate(cells, axis=1)
    height, half = field.shape[0], field.shape[1] // 4
    shifted = field[:, half : 3 * half]
    first, second = field[:, : 2 * half].copy(), shifted.copy()
    background = np.median(field.reshape(-1, 3), axis=0).astype(np.uint8)
    # The shared half keeps its red cells; each nucleus is drawn into the half that only one shows.
    nucleus = np.array([90, 40, 150], np.uint8)
    for image, left in ((first, 20), (second, 2 * half - 70)):
        purple = image[..., 2].astype(int) - image[..., 1] > 30
        image[purple] = background
        image[height // 2 - 25 : height // 2 + 25, left : left + 50] = nucleus
    overlap = find_overlap(extract_fingerprint(first), extract_fingerprint(second), 15)
    assert overlap is not None
    assert not overlap.same_nucleus
    assert overlap.share < SAME_FIELD


def test_copies_with_other_located_nuclei_share_their_field(cells: list[Pixels]) -> None:
    """Copies of a photograph of two cells may locate different nuclei; the shared area is large."""
    one = extract_fingerprint(cells[0])
    other = extract_fingerprint(cells[0])
    assert one.nucleus is not None
    moved = Nucleus(x=1 - one.nucleus.x, y=0.05, half=0.02)
    overlap = find_overlap(one, Fingerprint(other.keypoints, moved, other.covered), 15)
    assert overlap is not None
    assert not overlap.same_nucleus
    assert overlap.share > SAME_FIELD


def test_a_stamp_is_no_overlap() -> None:
    """A stamp in one corner of all photographs of a camera does not match them."""
    rng = np.random.default_rng(0)
    stamp = rng.integers(0, 255, (14, 14, 3), dtype=np.uint8).repeat(2, 0).repeat(2, 1)
    fingerprints = []
    for level in (180, 200):
        image = np.full((240, 320, 3), level, np.uint8)
        image[200:228, 280:308] = stamp
        fingerprints.append(extract_fingerprint(image))
    assert min(len(one.keypoints.points) for one in fingerprints) >= 10
    assert find_overlap(fingerprints[0], fingerprints[1], 6) is None


def test_wedges_have_no_keypoints(cells: list[Pixels]) -> None:
    """No keypoint lies on the border of a black wedge."""
    image = cells[0].copy()
    image[:, :100] = 0
    assert (detect_keypoints(image).points[:, 0] * 320).min() > 103


def test_mirrored_descriptors_are_those_of_the_mirrored_image(cells: list[Pixels]) -> None:
    """At least half of the computed descriptors equal detected ones; twice mirrored is identity."""
    original, mirror = detect_keypoints(cells[0]), detect_keypoints(cells[0][:, ::-1])
    np.testing.assert_array_equal(mirrored(mirrored(original.descriptors)), original.descriptors)
    expected = np.array([1 - 1 / 320, 0]) + original.points * [-1, 1]
    distances = np.abs(expected[:, None] - mirror.points[None]).max(axis=-1)
    close = distances.min(axis=1) < 0.5 / 320
    one = mirrored(original.descriptors)[close].astype(int)
    other = mirror.descriptors[distances.argmin(axis=1)[close]].astype(int)
    similar = np.linalg.norm(one - other, axis=1) < 120
    assert similar.mean() > 0.5
