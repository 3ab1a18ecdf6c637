"""Writes an archive of drawn smears for training, and draws new cells for later predictions."""

import itertools
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.sample.camera import augmented_copy, jpeg
from pipeline.sample.cells import CLASSES
from pipeline.sample.laboratory import IN_DOMAIN, Laboratory
from pipeline.sample.smear import draw_photograph

_log = logging.getLogger(__name__)

_ARCHIVE, _FRESH, _NAMES = range(3)
"""Separate random streams of one seed, so that new cells are never in the archive."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Fixed modification time, so that equal images give equal bytes."""


class Member(BaseModel):
    """One image of an archive, with its true label and cell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    """Path inside the archive."""
    label: str
    cell: str
    """Identifier of the cell, for tests of the grouping."""


def write_archive(
    path: Path,
    *,
    seed: int,
    cells_per_class: int,
    copies: int,
    laboratory: Laboratory = IN_DOMAIN,
    classes: Sequence[str] = CLASSES,
) -> list[Member]:
    """Write a zip of `sample/<CLASS>/<name>.jpeg`, `copies` images per cell; returns its members.

    Equal arguments and library versions give equal bytes. Names are assigned at random, so that
    neither a name nor its position in the archive shows the cell.
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
    """Yield `count` pairs (label, JPEG bytes), each of a new cell, cycling through the classes.

    These cells are in no archive of any seed.
    """
    for number, label in enumerate(itertools.islice(itertools.cycle(CLASSES), count)):
        rng = np.random.default_rng([seed, _FRESH, number])
        original = draw_photograph(label, rng, laboratory)
        yield label, jpeg(augmented_copy(original, rng), laboratory.jpeg_quality)


def _draw_cells(
    seed: int, label: str, cells: int, copies: int, laboratory: Laboratory
) -> Iterator[tuple[str, bytes]]:
    """Yield pairs (cell, JPEG bytes), `copies` of each cell in turn."""
    for cell in range(cells):
        rng = np.random.default_rng([seed, _ARCHIVE, CLASSES.index(label), cell])
        original = draw_photograph(label, rng, laboratory)
        for _ in range(copies):
            image = augmented_copy(original, rng)
            yield f"{label}-{cell}", jpeg(image, laboratory.jpeg_quality)


def _names(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct file names, `_<digit>_<number>.jpeg`, in random order."""
    numbers = rng.permutation(10 * count)[:count]
    return [f"_{rng.integers(10)}_{number}.jpeg" for number in numbers]
