"""Photograph of a smear: plasma, red cells and platelets around one white cell."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.sample.camera import HEIGHT, SUPERSAMPLING, WIDTH, photograph
from pipeline.sample.cells import Drawing, draw_cell
from pipeline.sample.laboratory import DYES, Laboratory
from pipeline.sample.shapes import blob, ellipse, mottle, opacity, square_grid

_RED_CELL_RADIUS = 3.7
"""In micrometres: a red cell has a diameter of about 7.5."""

_THICKEST_PILE = np.float32(1.5)
"""Largest amount of haemoglobin where red cells overlap; the rim of one has about 1."""

Field = NDArray[np.float32]
"""Amounts of dye over the whole field of view, shape (dyes, height, width)."""


def draw_photograph(label: str, rng: np.random.Generator, laboratory: Laboratory) -> Image.Image:
    """Draw a PIL photograph of a new slide, with one white cell of class `label` near the centre.

    It is off the centre by up to 60 pixels horizontally and 36 vertically.

    Returns:
        RGB, `WIDTH` x `HEIGHT` pixels.
    """
    slide = laboratory.slide(rng)
    scale = slide.pixels_per_um * SUPERSAMPLING
    cell = draw_cell(label, rng, scale)
    offset = rng.uniform(-1, 1, 2) * (60, 36) * SUPERSAMPLING
    where = np.array([WIDTH, HEIGHT]) * SUPERSAMPLING / 2 + offset
    field = _plasma(rng)
    _scatter_red_cells(field, where, cell, scale, rng)
    for _ in range(int(rng.integers(1, 6))):
        _draw_onto(
            field, _platelet(rng, scale), rng.uniform(0, 1, 2) * (field.shape[2], field.shape[1])
        )
    _draw_onto(field, cell, where)
    return photograph(field, slide, rng)


def _plasma(rng: np.random.Generator) -> Field:
    """A faint, uneven film of stain over the field."""
    width, height = WIDTH * SUPERSAMPLING, HEIGHT * SUPERSAMPLING
    field = np.zeros((len(DYES), height, width), dtype=np.float32)
    for dye in ("haemoglobin", "methylene_blue"):
        coarse = Image.fromarray(rng.uniform(0, 0.08, (6, 8)).astype(np.float32))
        film = coarse.resize((width, height), Image.Resampling.BICUBIC)
        field[DYES.index(dye)] = np.maximum(np.asarray(film), 0)
    return field


def _scatter_red_cells(
    field: Field, where: NDArray[np.float64], cell: Drawing, scale: float, rng: np.random.Generator
) -> None:
    """Draw red cells onto the field, in place: some in clumps, none over the white cell."""
    height, width = field.shape[1:]
    area = height * width / scale**2
    free = np.sqrt(cell.cover.sum() / np.pi) + 0.55 * _RED_CELL_RADIUS * scale
    clump: NDArray[np.float64] | None = None
    for _ in range(int(area * rng.uniform(0.009, 0.022))):
        if clump is None or rng.uniform() < 0.65:
            position = rng.uniform(-0.05, 1.05, 2) * (width, height)
        else:
            angle = rng.uniform(0, 2 * np.pi)
            step = rng.uniform(1.2, 1.9) * _RED_CELL_RADIUS * scale
            position = clump + step * np.array([np.cos(angle), np.sin(angle)])
        offset = position - where
        distance = float(np.hypot(*offset)) + 1e-6
        if distance < free:
            position = where + offset / distance * free * rng.uniform(1, 1.1)
        clump = position
        _draw_onto(field, _red_cell(rng, scale), position)
    # Overlapping red cells flatten each other, so that absorption saturates.
    pile = field[DYES.index("haemoglobin")]
    np.multiply(np.tanh(pile / _THICKEST_PILE), _THICKEST_PILE, out=pile)


def _red_cell(rng: np.random.Generator, scale: float) -> Drawing:
    """A biconcave disc: thick near the rim, pale in the middle."""
    radius = _RED_CELL_RADIUS * rng.uniform(0.86, 1.1)
    grid = square_grid(radius * 1.3, scale, rng.uniform(0, 2 * np.pi))
    squash = rng.uniform(0.78, 1.0)
    outline = ellipse(grid, (0, 0), (radius, radius * squash))
    centre = (rng.normal() * 0.2, rng.normal() * 0.2)
    size = radius * rng.uniform(0.34, 0.52)
    hollow = ellipse(grid, centre, (size, size * squash)) / np.float32(size)
    pallor = rng.uniform(0.35, 0.8) / (1 + np.exp(np.clip(6 * hollow, -20, 20)))
    cover = opacity(outline, 0.3)
    rim = np.exp(-(((outline + 0.3) / 0.3) ** 2))
    dyes = np.zeros((len(DYES), *cover.shape), dtype=np.float32)
    thickness = rng.uniform(0.85, 1.1) * (1 - pallor) + 0.15 * rim
    dyes[DYES.index("haemoglobin")] = cover * thickness
    # Red cells are transparent: cover 0 hides nothing below.
    return Drawing(dyes, np.zeros_like(cover))


def _platelet(rng: np.random.Generator, scale: float) -> Drawing:
    """A small pale lilac platelet with a granular centre."""
    radius = rng.uniform(0.8, 1.5)
    grid = square_grid(radius * 1.6, scale, 0)
    outline = blob(grid, radius, 0.2, rng)
    cover = opacity(outline, 0.4)
    grains = np.maximum(mottle(grid, 0.2, rng), 0) * opacity(
        outline + np.float32(0.4 * radius), 0.6
    )
    dyes = np.zeros((len(DYES), *cover.shape), dtype=np.float32)
    dyes[DYES.index("methylene_blue")] = 0.25 * cover
    dyes[DYES.index("azure")] = cover * (0.14 + 0.18 * grains)
    return Drawing(dyes, cover * np.float32(0.5))


def _draw_onto(field: Field, drawing: Drawing, where: NDArray[np.float64]) -> None:
    """Draw onto the field, in place, centred at `where` (x, y); hides what the drawing covers."""
    size = drawing.cover.shape[0]
    left, top = (round(float(at)) - size // 2 for at in where)
    rows = slice(max(top, 0), max(min(top + size, field.shape[1]), 0))
    columns = slice(max(left, 0), max(min(left + size, field.shape[2]), 0))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    field[:, rows, columns] *= 1 - drawing.cover[inner]
    field[:, rows, columns] += drawing.dyes[:, inner[0], inner[1]]
