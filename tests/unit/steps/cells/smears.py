"""Synthetic cells and patients whose photographs encode the cell that they show."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.contract.decoding import Pixels
from pipeline.digests import sha256_bytes
from pipeline.steps.cells.matching.near_duplicates import MatchedPair

CLASSES = ("ROUND", "LOBED")
CELLS = 24
"""Number of cells. A cell's class is its parity; four consecutive cells are one patient."""


def photograph(cell: int, number: int) -> bytes:
    """A PNG whose first pixel encodes the cell, for the fake search."""
    pixels = np.full((32, 32, 3), 200, np.uint8)
    pixels[0, 0] = (cell, number, 0)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


WORLD = {
    sha256_bytes(photograph(cell, number)): cell for cell in range(CELLS) for number in range(5)
}
"""Hash of every possible photograph to its cell."""
Rows = dict[str, tuple[bytes, str, str, str]]
"""File to its bytes and its row of `manifest.csv`: label, group, cell."""


def cell_of(pixels: Pixels) -> int:
    """Fake of `extract_fingerprint`: returns the cell of a photograph."""
    return int(pixels[0, 0, 0])


def same_cell(images: list[int], min_inliers: int) -> list[MatchedPair]:
    """Fake of `find_matches`: matches each image with the previous one of the same cell."""
    last: dict[int, int] = {}
    matches = []
    for index, cell in enumerate(images):
        if cell in last:
            matches.append(MatchedPair(last[cell], index, min_inliers))
        last[cell] = index
    return matches


def write(path: Path, rows: Rows) -> None:
    """Write a zip of these files with a `manifest.csv`."""
    table = [f"{file},{label},{patient},{cell}" for file, (_, label, patient, cell) in rows.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for file, (data, *_) in rows.items():
            archive.writestr(file, data)
        archive.writestr("manifest.csv", "\n".join(["file,label,group,cell", *table]))


def archive_of(cells: set[int], numbers: tuple[int, ...], naming: str, wrong: bool) -> Rows:
    """Photographs of some cells, naming nothing, the patients, or the patients and their cells."""
    rows: Rows = {}
    for cell in sorted(cells):
        label = CLASSES[(cell + wrong) % 2]
        patient = "" if naming == "nothing" else f"patient {cell // 4}"
        name = str(cell) if naming == "cells" else ""
        for number in numbers:
            rows[f"a/{cell}-{number}.png"] = (photograph(cell, number), label, patient, name)
    return rows
