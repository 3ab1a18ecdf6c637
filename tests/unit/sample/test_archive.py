import io
import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.sample.archive import Member, draw_images, write_archive
from pipeline.sample.cells import CLASSES
from pipeline.sample.laboratory import IN_DOMAIN, OUT_OF_DOMAIN


def _pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        assert (image.size, image.mode) == ((320, 240), "RGB")
        return np.asarray(image)


def _mean_colour(data: bytes) -> NDArray[np.float64]:
    """Mean colour of the photograph without the black wedges."""
    pixels = _pixels(data)
    colour: NDArray[np.float64] = pixels[pixels.max(axis=2) > 40].mean(axis=0)
    return colour


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Member]]:
    path = tmp_path_factory.mktemp("sample") / "sample.zip"
    return path, write_archive(path, seed=3, cells_per_class=2, copies=3)


def test_an_archive_has_the_images_of_each_class(written: tuple[Path, list[Member]]) -> None:
    """Each class folder has cells times copies JPEGs of 320x240, listed as members."""
    path, members = written
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [member.file for member in members]
        for member in members:
            _pixels(archive.read(member.file))
    for label in CLASSES:
        files = [member.file for member in members if member.label == label]
        assert len(files) == 6
        assert all(file.startswith(f"sample/{label}/") for file in files)
    assert len({member.cell for member in members}) == 2 * len(CLASSES)


def test_same_seed_gives_the_same_bytes(written: tuple[Path, list[Member]], tmp_path: Path) -> None:
    """An archive is reproducible byte for byte."""
    path, members = written
    again = tmp_path / "again.zip"
    assert write_archive(again, seed=3, cells_per_class=2, copies=3) == members
    assert again.read_bytes() == path.read_bytes()


def test_another_seed_draws_other_cells(tmp_path: Path) -> None:
    """Two seeds share no image."""
    images = []
    for seed in (3, 4):
        path = tmp_path / f"{seed}.zip"
        members = write_archive(
            path, seed=seed, cells_per_class=1, copies=1, classes=["LYMPHOCYTE"]
        )
        with zipfile.ZipFile(path) as archive:
            images.append(archive.read(members[0].file))
    assert images[0] != images[1]


def test_copies_of_a_cell_differ(written: tuple[Path, list[Member]]) -> None:
    """All images of an archive differ, so that hashes alone cannot group them."""
    path, members = written
    with zipfile.ZipFile(path) as archive:
        assert len({archive.read(member.file) for member in members}) == len(members)


def test_order_of_names_does_not_follow_the_cells(written: tuple[Path, list[Member]]) -> None:
    """Sorted by name, the images of a cell are not adjacent."""
    _, members = written
    changes = sum(a.cell != b.cell for a, b in itertools.pairwise(members) if a.label == b.label)
    assert changes > len(CLASSES)


def test_new_images_are_reproducible_and_cycle_through_the_classes() -> None:
    """Each class has nearly the same number."""
    drawn = list(draw_images(5, 5, IN_DOMAIN))
    assert [label for label, _ in drawn] == [*CLASSES, CLASSES[0]]
    assert drawn == list(draw_images(5, 5, IN_DOMAIN))


def test_new_images_are_not_in_the_archive_of_the_same_seed(
    written: tuple[Path, list[Member]],
) -> None:
    """They are never training images."""
    path, members = written
    with zipfile.ZipFile(path) as archive:
        known = {archive.read(member.file) for member in members}
    assert known.isdisjoint(data for _, data in draw_images(3, 4, IN_DOMAIN))


def test_other_laboratory_has_another_colour() -> None:
    """Its yellow lamp lowers the ratio of blue to red in each image."""
    ratios = {}
    for laboratory in (IN_DOMAIN, OUT_OF_DOMAIN):
        colours = [_mean_colour(data) for _, data in draw_images(1, 4, laboratory)]
        ratios[laboratory.name] = [colour[2] / colour[0] for colour in colours]
    assert max(ratios["other"]) < min(ratios["home"]) - 0.05
