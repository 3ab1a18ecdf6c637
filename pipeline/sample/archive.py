"""Whole sets of drawn smears: an archive to train on, and fresh cells to show a model later."""

import itertools
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.sample.camera import augmented_copy, jpeg
from pipeline.sample.cells import CLASSES
from pipeline.sample.laboratory import HOME, Laboratory
from pipeline.sample.smear import draw_photograph

_log = logging.getLogger(__name__)

_ARCHIVE, _FRESH, _NAMES = range(3)
"""Separate random streams of one seed: a fresh cell is never one of the archive's."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip can hold: the same images always give the same bytes."""


class Member(BaseModel):
    """One image of an archive, and the truth about it that its name does not tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Path inside the archive."""
    label: str
    cell: str
    """Images of one cell share this; for checking a recovered grouping."""


def write_archive(
    path: Path,
    *,
    seed: int,
    cells_per_class: int,
    copies: int,
    laboratory: Laboratory = HOME,
    classes: Sequence[str] = CLASSES,
) -> list[Member]:
    """Write a zip of `sample/<CLASS>/<name>.jpeg`, `copies` augmented images of each cell.

    The same arguments and library versions give the same bytes. Names are dealt at random, so
    that neither a name nor its place in the archive tells which cell an image shows.
    """
    _log.info("drawing %d cells of each of %s", cells_per_class, ", ".join(classes))
    members = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for label in classes:
            number = CLASSES.index(label)
            names = _names(np.random.default_rng([seed, _NAMES, number]), cells_per_class * copies)
            drawn = _draw_cells(seed, label, cells_per_class, copies, laboratory)
            images = dict(zip(names, drawn, strict=True))
            for name in sorted(images):
                cell, data = images[name]
                file = f"sample/{label}/{name}"
                archive.writestr(zipfile.ZipInfo(file, _EPOCH), data)
                members.append(Member(file=file, label=label, cell=cell))
    _log.info("wrote %s: %d images", path.name, len(members))
    return members


def draw_images(seed: int, count: int, laboratory: Laboratory) -> Iterator[tuple[str, bytes]]:
    """Yield `count` (label, JPEG bytes), each of a cell of its own, the classes in turn.

    No archive of any seed shows these cells.
    """
    for number, label in enumerate(itertools.islice(itertools.cycle(CLASSES), count)):
        rng = np.random.default_rng([seed, _FRESH, number])
        original = draw_photograph(label, rng, laboratory)
        yield label, jpeg(augmented_copy(original, rng), laboratory.jpeg_quality)


def _draw_cells(
    seed: int, label: str, cells: int, copies: int, laboratory: Laboratory
) -> Iterator[tuple[str, bytes]]:
    for cell in range(cells):
        rng = np.random.default_rng([seed, _ARCHIVE, CLASSES.index(label), cell])
        original = draw_photograph(label, rng, laboratory)
        for _ in range(copies):
            image = augmented_copy(original, rng)
            yield f"{label}-{cell}", jpeg(image, laboratory.jpeg_quality)


def _names(rng: np.random.Generator, count: int) -> list[str]:
    """Names like those of the public set, `_<shard>_<number>.jpeg`, in random order."""
    numbers = rng.permutation(10 * count)[:count]
    return [f"_{rng.integers(10)}_{number}.jpeg" for number in numbers]
