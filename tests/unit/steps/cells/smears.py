"""A small world of cells and patients whose photographs say what they show."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.adapters.artifact_store import sha256_bytes
from pipeline.contract.decoding import Pixels
from pipeline.steps.cells.matching.near_duplicates import Tie

CLASSES = ("ROUND", "LOBED")
CELLS = 24
"""Of the world. The class of a cell is its parity; four cells in a row are one patient's."""


def photograph(cell: int, number: int) -> bytes:
    """A PNG whose first pixel says which cell it shows, so that a fake search can know."""
    pixels = np.full((32, 32, 3), 200, np.uint8)
    pixels[0, 0] = (cell, number, 0)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


WORLD = {
    sha256_bytes(photograph(cell, number)): cell for cell in range(CELLS) for number in range(5)
}
"""Hash of every photograph there can be to the cell it shows."""
Rows = dict[str, tuple[bytes, str, str, str]]
"""File to its bytes and what `manifest.csv` says: label, group, cell."""


def cell_of(pixels: Pixels) -> int:
    """In place of `view`."""
    return int(pixels[0, 0, 0])


def same_cell(images: list[int], min_inliers: int) -> list[Tie]:
    """In place of `find_ties`: each image is tied to the one before it of the same cell."""
    last: dict[int, int] = {}
    ties = []
    for place, cell in enumerate(images):
        if cell in last:
            ties.append(Tie(last[cell], place, min_inliers))
        last[cell] = place
    return ties


def write(path: Path, rows: Rows) -> None:
    """A zip of these files with a `manifest.csv`."""
    table = [f"{file},{label},{patient},{cell}" for file, (_, label, patient, cell) in rows.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for file, (data, *_) in rows.items():
            archive.writestr(file, data)
        archive.writestr("manifest.csv", "\n".join(["file,label,group,cell", *table]))


def archive_of(cells: set[int], numbers: tuple[int, ...], naming: str, wrong: bool) -> Rows:
    """Photographs of some cells: nothing named, patients named, or patients and their cells."""
    rows: Rows = {}
    for cell in sorted(cells):
        label = CLASSES[(cell + wrong) % 2]
        patient = "" if naming == "nothing" else f"patient {cell // 4}"
        name = str(cell) if naming == "cells" else ""
        for number in numbers:
            rows[f"a/{cell}-{number}.png"] = (photograph(cell, number), label, patient, name)
    return rows
