"""Fingerprint of an image: keypoints, nucleus and coverage, by which near-duplicates are found."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.decoding import Pixels
from pipeline.contract.locating import locate_nucleus
from pipeline.contract.preprocessing import WEDGE_LEVEL
from pipeline.steps.cells.matching.keypoints import Floats, Keypoints, detect_keypoints

_GRID = 40
"""Squares along the longer side in the coverage mask of a photograph."""
_OFFSETS = np.array([-0.7, 0.0, 0.7])
"""Sample positions in a nucleus, in units of half its square."""

Map = NDArray[np.float64]
"""Affine map (2, 3) from points of one image to points of another."""


@dataclass(frozen=True)
class Nucleus:
    """Square around the stained nucleus, in units of the image's longer side."""

    x: float
    y: float
    half: float

    def points(self) -> Floats:
        """Nine sample points in the square (9, 2)."""
        across, down = np.meshgrid(self.x + self.half * _OFFSETS, self.y + self.half * _OFFSETS)
        return np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float32)

    def contains_any(self, points: NDArray[np.floating]) -> bool:
        """Whether at least one of the points (n, 2) lies in the square."""
        distances = np.abs(points - np.array([self.x, self.y])).max(axis=1)
        return bool((distances <= self.half).any())


@dataclass(frozen=True)
class Fingerprint:
    """Keypoints, nucleus and coverage of an image; lengths in units of its longer side."""

    keypoints: Keypoints
    nucleus: Nucleus | None
    covered: NDArray[np.bool_]
    """(rows, columns), `_GRID` along the longer side: photograph as opposed to black wedge."""

    def nucleus_maps_onto(self, other: "Fingerprint", map_: Map) -> bool:
        """Whether the map takes this nucleus into the other's; false if an image has none."""
        if self.nucleus is None or other.nucleus is None:
            return False
        return other.nucleus.contains_any(_mapped(self.nucleus.points(), map_))

    def share_within(self, other: "Fingerprint", map_: Map) -> float:
        """Share of this photograph, 0 to 1, that the map takes into the other photograph."""
        squares = np.argwhere(self.covered)[:, ::-1]
        if not len(squares):
            return 0.0
        targets = np.floor(_mapped((squares + 0.5) / _GRID, map_) * _GRID).astype(np.intp)
        targets = targets[((targets >= 0) & (targets < other.covered.shape[::-1])).all(axis=1)]
        return float(other.covered[targets[:, 1], targets[:, 0]].sum() / len(squares))


def extract_fingerprint(image: Pixels) -> Fingerprint:
    """Locate the nucleus and detect the keypoints of an RGB image."""
    longer = max(image.shape[:2])
    box = locate_nucleus(image)
    nucleus = None
    if box is not None:
        middle = box.side / 2
        nucleus = Nucleus(
            x=(box.left + middle) / longer, y=(box.top + middle) / longer, half=middle / longer
        )
    return Fingerprint(detect_keypoints(image), nucleus, _coverage(image))


def _mapped(points: NDArray[np.floating], map_: Map) -> NDArray[np.float64]:
    return np.asarray(points @ map_[:, :2].T + map_[:, 2], dtype=np.float64)


def _coverage(image: Pixels) -> NDArray[np.bool_]:
    """Coarse mask of the photograph (rows, columns): False where a square is black."""
    height, width = image.shape[:2]
    middles = (np.arange(_GRID) + 0.5) * max(height, width) / _GRID
    rows, columns = (middles[middles < side].astype(np.intp) for side in (height, width))
    return np.asarray(image[np.ix_(rows, columns)].max(axis=-1) >= WEDGE_LEVEL)
