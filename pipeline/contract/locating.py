"""Where the cell is: a square around the nucleus, which the dye stains and nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.contract.box import CellBox
from pipeline.contract.decoding import Pixels
from pipeline.contract.morphology import opened

_SEARCH_SIDE = 160
"""The cell is searched for in a copy whose longer side has this many pixels."""


def locate(image: Pixels) -> CellBox | None:
    """The square around the stained nucleus, or None when nothing is stained.

    Nuclei take up the violet dye: they are the part where blue and red both exceed green. The
    largest such blob wins; lobes near it belong to it.

    Args:
        image: (height, width, 3) RGB.
    """
    height, width = image.shape[:2]
    step = max(1, round(max(height, width) / _SEARCH_SIDE))
    purple = ndimage.gaussian_filter(_purple(image[::step, ::step]), 1.0)
    mask = purple > max(_threshold(purple), 12.0)
    nucleus = _nucleus(mask)
    if nucleus is None:
        return None
    top, bottom, left, right = (edge * step for edge in nucleus)
    side = max(bottom - top, right - left)
    return CellBox(
        left=round((left + right - side) / 2), top=round((top + bottom - side) / 2), side=side
    )


def _purple(image: Pixels) -> NDArray[np.float32]:
    red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
    return (blue - green) + 0.5 * (red - green)


def _threshold(values: NDArray[np.float32]) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 1979): the split with most variance between sides."""
    counts, edges = np.histogram(values, bins=64)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # A side without pixels has no mean; a grey image has no other sides.
    return float(centres[int(np.argmax(np.nan_to_num(np.where(above > 0, between, 0))))])


def _nucleus(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Edges (top, bottom, left, right) of the largest blob and the lobes near it."""
    labels, count = ndimage.label(opened(mask))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    largest = int(np.argmax(sizes))
    most = sizes[largest]
    if most < mask.size * 0.002:
        return None
    places = ndimage.find_objects(labels)
    reach = max(2, round(0.35 * float(np.sqrt(most))))
    around = labels[
        tuple(slice(max(0, at.start - reach), at.stop + reach) for at in places[largest])
    ]
    near = ndimage.binary_dilation(around == largest + 1, iterations=reach)
    labelled = (label - 1 for label in np.unique(around[near]) if label)
    lobes = [places[lobe] for lobe in labelled if sizes[lobe] >= 0.05 * most]
    rows, columns = zip(*lobes, strict=True)
    return (*_span(rows), *_span(columns))


def _span(parts: Sequence[slice]) -> tuple[int, int]:
    """From the first that any of them holds to behind the last."""
    return min(part.start for part in parts), max(part.stop for part in parts)
