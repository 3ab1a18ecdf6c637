"""Locate the cell: a square around its nucleus, the part that the violet dye stains."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.contract.cell_box import CellBox
from pipeline.contract.decoding import Pixels
from pipeline.contract.morphology import opened

_SEARCH_SIDE = 160
"""Longer side, in pixels, of the subsampled copy in which the nucleus is searched for."""
_MIN_PURPLE = 12.0
"""Smallest threshold on the purple channel; a grey image has less everywhere."""
_MIN_NUCLEUS_SHARE = 0.002
"""Smallest nucleus, as a share of the image's area."""
_MIN_LOBE_SHARE = 0.05
"""Smallest lobe, as a share of the largest blob's area."""
_LOBE_REACH = 0.35
"""Largest distance of a lobe, in units of the square root of the largest blob's area."""


def locate_nucleus(image: Pixels) -> CellBox | None:
    """The square around the stained nucleus, or None when nothing is stained.

    Stained pixels have more blue and red than green. The nucleus is the largest connected blob of
    them, with the lobes near it.

    Args:
        image: (height, width, 3) RGB.
    """
    height, width = image.shape[:2]
    step = max(1, round(max(height, width) / _SEARCH_SIDE))
    purple = ndimage.gaussian_filter(_purple(image[::step, ::step]), 1.0)
    mask = purple > max(_otsu_threshold(purple), _MIN_PURPLE)
    nucleus = _nucleus_edges(mask)
    if nucleus is None:
        return None
    top, bottom, left, right = (edge * step for edge in nucleus)
    side = max(bottom - top, right - left)
    return CellBox(
        left=round((left + right - side) / 2), top=round((top + bottom - side) / 2), side=side
    )


def _purple(image: Pixels) -> NDArray[np.float32]:
    """Amount of violet stain (height, width): blue and red above green."""
    red, green, blue = (image[..., channel].astype(np.float32) for channel in range(3))
    return (blue - green) + 0.5 * (red - green)


def _otsu_threshold(values: NDArray[np.float32]) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 1979): the largest variance between the two classes."""
    counts, edges = np.histogram(values, bins=64)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    # An empty class has no mean (NaN); in a uniform image one class is always empty.
    return float(centres[int(np.argmax(np.nan_to_num(np.where(above > 0, between, 0))))])


def _nucleus_edges(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """Edges of the largest blob and the lobes near it; None without a blob of sufficient size.

    Top, bottom, left and right; bottom and right are exclusive.
    """
    labels, count = ndimage.label(opened(mask))
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    largest = int(np.argmax(sizes))
    area = sizes[largest]
    if area < mask.size * _MIN_NUCLEUS_SHARE:
        return None
    slices = ndimage.find_objects(labels)
    reach = max(2, round(_LOBE_REACH * float(np.sqrt(area))))
    window = labels[
        tuple(slice(max(0, at.start - reach), at.stop + reach) for at in slices[largest])
    ]
    near = ndimage.binary_dilation(window == largest + 1, iterations=reach)
    blobs = (label - 1 for label in np.unique(window[near]) if label)
    lobes = [slices[blob] for blob in blobs if sizes[blob] >= _MIN_LOBE_SHARE * area]
    rows, columns = zip(*lobes, strict=True)
    return (*_span(rows), *_span(columns))


def _span(slices: Sequence[slice]) -> tuple[int, int]:
    """Smallest start and largest stop."""
    return min(part.start for part in slices), max(part.stop for part in slices)
