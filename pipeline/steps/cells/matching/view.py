"""What the search for near duplicates keeps of an image, so that its pixels can go."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract.decoding import Pixels
from pipeline.contract.locating import locate
from pipeline.contract.preprocessing import WEDGE_LEVEL
from pipeline.steps.cells.matching.keypoints import Floats, Keypoints, keypoints

_GRID = 40
"""Squares along the longer side in which it is known whether the photograph is seen."""
_WITHIN = np.array([-0.7, 0.0, 0.7])
"""Where a nucleus is looked at, in units of half its square."""

Map = NDArray[np.float64]
"""Affine (2, 3) from the points of one image to those of another."""


@dataclass(frozen=True)
class Nucleus:
    """A square around what is stained, in units of the image's longer side."""

    x: float
    y: float
    half: float

    def points(self) -> Floats:
        """Nine points all over it: (9, 2)."""
        across, down = np.meshgrid(self.x + self.half * _WITHIN, self.y + self.half * _WITHIN)
        return np.stack([across.ravel(), down.ravel()], axis=1).astype(np.float32)

    def holds_any(self, points: NDArray[np.floating]) -> bool:
        """Whether one of the points (n, 2) lies in the square."""
        away = np.abs(points - np.array([self.x, self.y])).max(axis=1)
        return bool((away <= self.half).any())


@dataclass(frozen=True)
class View:
    """One image; lengths are in units of its longer side."""

    keypoints: Keypoints
    nucleus: Nucleus | None
    seen: NDArray[np.bool_]
    """(rows, columns) of squares, `_GRID` along the longer side: photograph, or black wedge."""

    def lands_on(self, other: "View", map_: Map) -> bool:
        """Whether a map takes this image's nucleus to the other's; false where there is none."""
        if self.nucleus is None or other.nucleus is None:
            return False
        return other.nucleus.holds_any(_mapped(self.nucleus.points(), map_))

    def share_within(self, other: "View", map_: Map) -> float:
        """Share of this photograph, 0 to 1, that a map takes into the other photograph."""
        squares = np.argwhere(self.seen)[:, ::-1]
        if not len(squares):
            return 0.0
        places = np.floor(_mapped((squares + 0.5) / _GRID, map_) * _GRID).astype(np.intp)
        places = places[((places >= 0) & (places < other.seen.shape[::-1])).all(axis=1)]
        return float(other.seen[places[:, 1], places[:, 0]].sum() / len(squares))


def view(image: Pixels) -> View:
    """Look at an RGB image."""
    longer = max(image.shape[:2])
    box = locate(image)
    nucleus = None
    if box is not None:
        middle = box.side / 2
        nucleus = Nucleus(
            x=(box.left + middle) / longer,
            y=(box.top + middle) / longer,
            half=middle / longer,
        )
    return View(keypoints(image), nucleus, _seen(image))


def _mapped(points: NDArray[np.floating], map_: Map) -> NDArray[np.float64]:
    return np.asarray(points @ map_[:, :2].T + map_[:, 2], dtype=np.float64)


def _seen(image: Pixels) -> NDArray[np.bool_]:
    """By the pixel in the middle of each square."""
    height, width = image.shape[:2]
    places = (np.arange(_GRID) + 0.5) * max(height, width) / _GRID
    rows, columns = (places[places < side].astype(np.intp) for side in (height, width))
    return np.asarray(image[np.ix_(rows, columns)].max(axis=-1) >= WEDGE_LEVEL)
