"""Shapes as planes of signed distances in micrometres (negative inside), and textures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

Plane = NDArray[np.float32]
Point = tuple[float, float]


@dataclass(frozen=True)
class Grid:
    """Coordinates of each pixel in micrometres from the centre of the drawing; shapes (h, w)."""

    x: Plane
    y: Plane
    pixel: float
    """Side of a pixel in micrometres."""


def square_grid(half_width: float, pixels_per_um: float, angle: float) -> Grid:
    """A square grid of pixels around the origin, rotated by `angle` (radians)."""
    steps = int(np.ceil(half_width * pixels_per_um))
    axis = np.arange(-steps, steps + 1, dtype=np.float32) / np.float32(pixels_per_um)
    x, y = np.meshgrid(axis, axis)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return Grid(cos * x + sin * y, cos * y - sin * x, 1 / pixels_per_um)


def blob(grid: Grid, radius: float, roughness: float, rng: np.random.Generator) -> Plane:
    """Signed distance to a disc whose outline varies by about `roughness` of its radius."""
    angle = np.arctan2(grid.y, grid.x)
    outline = np.full_like(angle, radius)
    for wave in range(2, 8):
        height, phase = rng.normal() * radius * roughness / wave, rng.uniform(0, 2 * np.pi)
        outline += np.float32(height) * np.cos(wave * angle + np.float32(phase))
    return np.asarray(np.hypot(grid.x, grid.y) - outline)


def ellipse(grid: Grid, centre: Point, radii: Point, angle: float = 0.0) -> Plane:
    """Approximate signed distance to an ellipse; exact on the outline."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = grid.x - np.float32(centre[0]), grid.y - np.float32(centre[1])
    along = (cos * x + sin * y) / np.float32(radii[0])
    across = (cos * y - sin * x) / np.float32(radii[1])
    scaled: Plane = np.hypot(along, across) - 1
    return scaled * np.float32(min(radii))


def strand(grid: Grid, start: Point, end: Point, half_width: float) -> Plane:
    """Signed distance to a straight strand with round ends."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    x, y = grid.x - np.float32(start[0]), grid.y - np.float32(start[1])
    share = np.clip((x * dx + y * dy) / (dx * dx + dy * dy + 1e-9), 0, 1).astype(np.float32)
    to_axis: Plane = np.hypot(x - share * dx, y - share * dy)
    return to_axis - np.float32(half_width)


def union(one: Plane, other: Plane, softness: float) -> Plane:
    """Signed distance to a union, with rounded corners (smooth minimum, Quilez)."""
    blend = np.maximum(softness - np.abs(one - other), 0) / softness
    return np.asarray(np.minimum(one, other) - blend * blend * np.float32(softness / 4))


def without(shape: Plane, hole: Plane, softness: float) -> Plane:
    """Signed distance to `shape` without `hole`, with rounded corners."""
    return -union(-shape, hole, softness)


def opacity(distance: Plane, edge: float) -> Plane:
    """Opacity, 0 to 1, of a shape (signed distances) with a soft edge of `edge` micrometres."""
    cover: Plane = np.clip(0.5 - distance / np.float32(edge), 0, 1)
    return cover * cover * (3 - 2 * cover)


def mottle(grid: Grid, size: float, rng: np.random.Generator) -> Plane:
    """Smooth random texture of mean 0 and deviation 1 with grains of `size` micrometres."""
    grain = rng.standard_normal(grid.x.shape, dtype=np.float32)
    smooth: Plane = gaussian_filter(grain, size / grid.pixel, mode="wrap")
    return np.asarray((smooth - smooth.mean()) / (smooth.std() + np.float32(1e-6)))


def beads(
    grid: Grid, spacing: float, radius: float, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    """Beads on a jittered grid: height and a random tone per bead, each 0 to 1 at each pixel."""
    reach = float(np.hypot(grid.x, grid.y).max())
    axis = np.arange(-reach, reach, spacing)
    centres = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    centres = centres + rng.uniform(-0.45, 0.45, centres.shape) * spacing
    pixels = np.stack([grid.x.ravel(), grid.y.ravel()], axis=1)
    distance, nearest = cKDTree(centres).query(pixels, distance_upper_bound=radius)
    height = np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1))
    tone = np.append(rng.uniform(0, 1, len(centres)), 0.0)[nearest]
    shape = grid.x.shape
    return height.reshape(shape).astype(np.float32), tone.reshape(shape).astype(np.float32)
