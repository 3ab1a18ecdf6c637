"""The four white cells, drawn with the features of their classes; lengths in micrometres.

Sizes are rounded from the ranges of haematology atlases: a neutrophil measures 11 to 15,
an eosinophil 12 to 16, a lymphocyte 8 to 13, a monocyte 15 to 20 micrometres across.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.sample.laboratory import DYES
from pipeline.sample.shapes import (
    Grid,
    Plane,
    Point,
    beads,
    blob,
    ellipse,
    mottle,
    opacity,
    square_grid,
    strand,
    union,
    without,
)

_EDGE = 0.25
"""Width of the soft edge of every shape."""


Amounts = dict[str, Plane]
"""Amount of each named dye, shape (h, w)."""


@dataclass(frozen=True)
class Drawing:
    """A drawn object: amount of each dye (dyes, h, w), and opacity `cover` (h, w), 0 to 1."""

    dyes: NDArray[np.float32]
    cover: Plane


def draw_cell(label: str, rng: np.random.Generator, pixels_per_um: float) -> Drawing:
    """Draw a random white cell of class `label` (a key of `PAINTERS`)."""
    painter, (smallest, largest) = PAINTERS[label]
    radius = rng.uniform(smallest, largest)
    grid = square_grid(radius * 1.35, pixels_per_um, rng.uniform(0, 2 * np.pi))
    return painter(grid, radius, rng)


def _neutrophil(grid: Grid, radius: float, rng: np.random.Generator) -> Drawing:
    """Three to five lobes on thin bridges; fine pink granules in pale pink cytoplasm."""
    body = blob(grid, radius, 0.05, rng)
    nucleus = _lobes(grid, radius, rng)
    dust: Plane = np.maximum(mottle(grid, 0.14, rng), 0)
    cytoplasm = {"eosin": 0.12 + 0.14 * dust, "azure": 0.08 + 0.11 * dust}
    return _compose(grid, body, cytoplasm, nucleus, _chromatin(grid, 1.05, 0.20, 0.45, rng))


def _lobes(grid: Grid, radius: float, rng: np.random.Generator) -> Plane:
    """Distance to a nucleus of three to five lobes, joined by strands."""
    count = int(rng.choice([3, 4, 5], p=[0.3, 0.45, 0.25]))
    step = rng.uniform(0.75, 1.0) * 2 * np.pi / (count + 0.6)
    centres = [
        _polar(radius * rng.uniform(0.45, 0.57), turn * step + rng.normal() * 0.10)
        for turn in range(count)
    ]
    size = radius * (0.355 - 0.032 * count)
    shape: Plane | None = None
    for centre in centres:
        radii = (size * rng.uniform(1.05, 1.35), size * rng.uniform(0.85, 1.05))
        lobe = ellipse(grid, centre, radii, rng.uniform(0, np.pi))
        shape = lobe if shape is None else union(shape, lobe, 0.2)
    assert shape is not None
    for start, end in itertools.pairwise(centres):
        shape = union(shape, strand(grid, start, end, 0.2), 0.35)
    return shape


def _eosinophil(grid: Grid, radius: float, rng: np.random.Generator) -> Drawing:
    """Two lobes, like spectacles, among coarse bright-orange granules that fill the cell."""
    body = blob(grid, radius, 0.05, rng)
    opening = rng.uniform(0.62, 0.95) * np.pi
    centres = [_polar(radius * rng.uniform(0.44, 0.54), side * opening / 2) for side in (-1, 1)]
    nucleus = strand(grid, centres[0], centres[1], rng.uniform(0.25, 0.6))
    for side, centre in zip((-1, 1), centres, strict=True):
        radii = (radius * rng.uniform(0.36, 0.44), radius * rng.uniform(0.27, 0.34))
        lobe = ellipse(grid, centre, radii, side * opening / 2 + np.pi / 2 + rng.normal() * 0.3)
        nucleus = union(nucleus, lobe, 0.6)
    height, tone = beads(grid, rng.uniform(0.78, 0.98), rng.uniform(0.46, 0.56), rng)
    granules = height * (0.75 + 0.5 * tone)
    cytoplasm = {"eosin": 0.28 + 0.75 * granules, "azure": 0.05 + 0.10 * (1 - height)}
    drawing = _compose(grid, body, cytoplasm, nucleus, _chromatin(grid, 1.0, 0.15, 0.5, rng))
    on_top = opacity(body, _EDGE) * granules * (tone > 0.85)
    return _add_dyes(drawing, {"eosin": 0.5 * on_top, "azure": -0.25 * on_top})


def _lymphocyte(grid: Grid, radius: float, rng: np.random.Generator) -> Drawing:
    """One large, round, dense nucleus in a thin rim of clear blue."""
    body = blob(grid, radius, 0.07, rng)
    centre = _polar(radius * rng.uniform(0.02, 0.12), rng.uniform(0, 2 * np.pi))
    size = radius * rng.uniform(0.74, 0.86)
    nucleus = ellipse(grid, centre, (size, size * rng.uniform(0.9, 1.0)), rng.uniform(0, np.pi))
    nucleus = nucleus + np.float32(0.08) * mottle(grid, 1.2, rng)
    clouds = mottle(grid, 0.5, rng)
    strength = rng.uniform(0.65, 1.1)
    cytoplasm = {"methylene_blue": strength * (1 + 0.08 * clouds), "azure": 0.06 + 0.01 * clouds}
    return _compose(grid, body, cytoplasm, nucleus, _chromatin(grid, 1.25, 0.16, 0.7, rng))


def _monocyte(grid: Grid, radius: float, rng: np.random.Generator) -> Drawing:
    """A big cell: a kidney of lacy chromatin in grey-blue cytoplasm with vacuoles."""
    body = blob(grid, radius, 0.13, rng)
    size = radius * rng.uniform(0.60, 0.70)
    kidney = ellipse(grid, (-0.12 * radius, 0), (size * rng.uniform(0.78, 0.9), size))
    bite = (size * rng.uniform(0.45, 0.65), size * rng.uniform(0.28, 0.42))
    notch = ellipse(grid, (size * rng.uniform(0.62, 0.78), rng.normal() * 0.4), bite)
    nucleus = without(kidney, notch, 1.2) + np.float32(0.10) * mottle(grid, 1.0, rng)
    dust: Plane = np.maximum(mottle(grid, 0.16, rng), 0)
    bubbles = _vacuoles(grid, radius, rng)
    cytoplasm = {
        "methylene_blue": 0.50 - 0.42 * bubbles,
        "haemoglobin": 0.40 - 0.34 * bubbles,
        "azure": (0.07 + 0.06 * dust) * (1 - bubbles),
    }
    return _compose(grid, body, cytoplasm, nucleus, _chromatin(grid, 0.80, 0.26, 0.5, rng))


def _vacuoles(grid: Grid, radius: float, rng: np.random.Generator) -> Plane:
    """Opacity, 0 to 1, of 9 to 21 round vacuoles."""
    cover = np.zeros_like(grid.x)
    for _ in range(int(rng.integers(9, 22))):
        centre = _polar(radius * np.sqrt(rng.uniform(0.1, 0.85)), rng.uniform(0, 2 * np.pi))
        size = rng.uniform(0.3, 0.85)
        cover = np.maximum(cover, opacity(ellipse(grid, centre, (size, size)), 2 * _EDGE))
    return cover


def _polar(radius: float, angle: float) -> Point:
    return float(radius * np.cos(angle)), float(radius * np.sin(angle))


def _chromatin(
    grid: Grid, amount: float, contrast: float, grain: float, rng: np.random.Generator
) -> Plane:
    """Azure inside a nucleus: clumps of `grain` micrometres around a mean `amount`."""
    texture = np.float32(contrast) * np.clip(mottle(grid, grain, rng), -1.8, 1.8)
    return np.float32(amount * rng.uniform(0.9, 1.1)) * (1 + texture)


def _compose(
    grid: Grid, body: Plane, cytoplasm: Amounts, nucleus: Plane, chromatin: Plane
) -> Drawing:
    """Draw a cell of nucleus and cytoplasm (signed distances), each with a thin dark outline."""
    nucleus = without(nucleus, -(body + np.float32(0.3)), 0.3)
    cover, inside = opacity(body, _EDGE), opacity(nucleus, _EDGE)
    membrane = np.exp(-(((body + 0.22) / 0.22) ** 2)) * cover * (1 - inside)
    envelope = np.exp(-(((nucleus + 0.25) / 0.25) ** 2)) * inside
    dyes = np.zeros((len(DYES), *grid.x.shape), dtype=np.float32)
    drawing = Drawing(dyes, cover)
    drawing = _add_dyes(
        drawing, {dye: plane * cover * (1 - inside) for dye, plane in cytoplasm.items()}
    )
    return _add_dyes(drawing, {"azure": chromatin * inside + 0.22 * envelope + 0.16 * membrane})


def _add_dyes(drawing: Drawing, amounts: Amounts) -> Drawing:
    """A copy with these amounts of dye added; a sum below 0 becomes 0."""
    dyes = drawing.dyes.copy()
    for dye, plane in amounts.items():
        dyes[DYES.index(dye)] += plane
    return Drawing(np.maximum(dyes, 0), drawing.cover)


Painter = Callable[[Grid, float, np.random.Generator], Drawing]

PAINTERS: dict[str, tuple[Painter, tuple[float, float]]] = {
    "EOSINOPHIL": (_eosinophil, (5.8, 8.0)),
    "LYMPHOCYTE": (_lymphocyte, (4.0, 6.6)),
    "MONOCYTE": (_monocyte, (7.3, 10.0)),
    "NEUTROPHIL": (_neutrophil, (5.4, 7.6)),
}
"""Class to its painter, and its smallest and largest radius."""

CLASSES = tuple(PAINTERS)
