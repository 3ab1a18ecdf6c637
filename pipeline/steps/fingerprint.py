"""What stays the same of a cell's photograph when a copy is turned, mirrored, shifted or sheared.

The nucleus gives a frame of its own: centred on its mean and stretched until its second moments
are those of a circle, after which affine copies differ by a turn and a mirror alone (normalisation
by moments: Rothe, Suesse and Voss, IEEE PAMI 18, 1996). In polar coordinates a turn is a shift
along the angle, so that magnitudes of the Fourier transform do not change with it, and one cross
correlation tries every turn. The cells around the nucleus say more about which photograph it is
than the nucleus does, hence the wide reach.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.contract.image_stats import WEDGE_LEVEL
from pipeline.contract.preprocessing import CellBox, Pixels, Prepared

RINGS, ANGLES = 28, 64
_REACH = 7.0
"""Radius of the outermost ring, in standard deviations of the stained nucleus."""
_INNER = 12
"""Rings that show the cell itself."""
_WIDENING = 2.2
"""Side of the square looked at over that of the network's crop; contains the whole reach."""
_SIDE = 160
_HARMONICS = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Fingerprint:
    """One image, or a stack of n along a new first axis."""

    signature: Floats
    """(3 * _INNER * _HARMONICS,): magnitudes of the cell's rings, without turn and mirror."""
    field: Floats
    """(RINGS, ANGLES): green around the nucleus, each ring with mean 0 and about unit spread."""
    seen: NDArray[np.bool_]
    """(RINGS, ANGLES): where the photograph reaches; black wedges and what lies outside do not."""


def fingerprint(prepared: Prepared) -> Fingerprint:
    """Take the fingerprint of a prepared image."""
    square, seen = _look(prepared.image, _wider(prepared.box))
    filled = square.astype(np.float32)
    filled[~seen] = filled[seen].mean(axis=0) if seen.any() else 0.0
    smooth = ndimage.gaussian_filter(filled, (1.0, 1.0, 0.0), truncate=2.5)
    points = _polar_points(*_frame(smooth))
    rings = np.stack(
        [ndimage.map_coordinates(smooth[..., k], points, order=1, mode="nearest") for k in range(3)]
    )
    nearest = np.clip(np.rint(points).astype(np.intp), 0, _SIDE - 1)
    within = ((points >= 0) & (points <= _SIDE - 1)).all(axis=0)
    valid = seen[nearest[0], nearest[1]] & within
    return Fingerprint(_signature(rings[:, :_INNER]), _level(rings[1], valid), valid)


def stack(prints: list[Fingerprint]) -> Fingerprint:
    """Many fingerprints as one, along a new first axis."""
    return Fingerprint(
        np.stack([p.signature for p in prints]),
        np.stack([p.field for p in prints]),
        np.stack([p.seen for p in prints]),
    )


def _wider(box: CellBox) -> CellBox:
    side = round(box.side * _WIDENING)
    return CellBox(
        left=box.left - (side - box.side) // 2, top=box.top - (side - box.side) // 2, side=side
    )


def _look(image: Pixels, box: CellBox) -> tuple[Pixels, NDArray[np.bool_]]:
    """The square at `_SIDE` pixels a side, and where in it the photograph is."""
    step = max(1, box.side // _SIDE)
    small = np.asarray(Image.fromarray(image).reduce(step)) if step > 1 else image
    height, width = small.shape[:2]
    places = (np.arange(_SIDE) + 0.5) * box.side / _SIDE
    rows = np.floor((box.top + places) / step).astype(np.intp)
    columns = np.floor((box.left + places) / step).astype(np.intp)
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    square = small[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    seen = inside & (square.max(axis=-1) >= WEDGE_LEVEL)
    # Interpolation blends a rim of black into the photograph.
    return square, ndimage.binary_erosion(seen, iterations=2)


def _frame(square: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre (2,) of the nucleus and the matrix (2, 2) that makes its ellipse of a unit circle."""
    margin = round(_SIDE * (1 - 1 / _WIDENING) / 2)
    cell = square[margin : _SIDE - margin, margin : _SIDE - margin]
    stain = (cell[..., 2] - cell[..., 1]) + 0.5 * (cell[..., 0] - cell[..., 1])
    low, high = np.percentile(stain, [50, 97])
    weight = np.clip((stain - (low + high) / 2) / (high - low + 1e-6), 0.0, 0.5)
    grid = np.indices(cell.shape[:2]).astype(np.float64)
    middle = (cell.shape[0] - 1) / 2
    weight = weight * (((grid - middle) ** 2).sum(axis=0) < (0.8 * middle) ** 2)
    total = weight.sum()
    if total <= 0:
        return np.full(2, (_SIDE - 1) / 2), np.eye(2) * cell.shape[0] / 8
    centre = (grid * weight).sum(axis=(1, 2)) / total
    away = grid - centre[:, None, None]
    moments = np.einsum("iyx,jyx,yx->ij", away, away, weight) / total
    values, axes = np.linalg.eigh(moments)
    return centre + margin, (axes * np.sqrt(np.maximum(values, 2.0))) @ axes.T


def _polar_points(centre: NDArray[np.float64], stretch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where to look: (2, RINGS, ANGLES) rows and columns."""
    radius = (np.arange(RINGS) + 0.5) / RINGS * _REACH
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    direction = stretch @ np.stack([np.sin(angle), np.cos(angle)])
    points: NDArray[np.float64] = (
        centre[:, None, None] + direction[:, None, :] * radius[None, :, None]
    )
    return points


def _signature(rings: Floats) -> Floats:
    """Magnitudes along the angle, weighted by the ring's length, as a unit vector."""
    length = np.sqrt(np.arange(_INNER) + 0.5)[:, None]
    levelled = (rings - rings.mean(axis=(1, 2), keepdims=True)) * length
    magnitudes = np.abs(np.fft.rfft(levelled, axis=-1))[..., :_HARMONICS].ravel()
    return np.asarray(magnitudes / (np.linalg.norm(magnitudes) + 1e-6), dtype=np.float32)


def _level(green: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Each ring less its mean, over its spread: all nuclei are dark in the middle of light."""
    count = seen.sum(axis=1, keepdims=True) + 1e-6
    level = (green - (green * seen).sum(axis=1, keepdims=True) / count) * seen
    spread = np.sqrt((level**2).sum(axis=1, keepdims=True) / count)
    # Eight grey levels keep the noise of an even ring from being blown up.
    return np.asarray(level / (spread + 8.0), dtype=np.float32)
