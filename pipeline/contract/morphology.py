"""Erosion and dilation by a cross of five pixels, as SciPy's, several times sooner on masks."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def eroded(mask: Mask) -> Mask:
    """Where a pixel and its four neighbours are in a mask (height, width); no border pixel is."""
    out = np.zeros_like(mask)
    out[1:-1, 1:-1] = (
        mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    )
    return out


def opened(mask: Mask) -> Mask:
    """A mask (height, width) without what is narrower than the cross."""
    core = eroded(mask)
    out = core.copy()
    out[1:] |= core[:-1]
    out[:-1] |= core[1:]
    out[:, 1:] |= core[:, :-1]
    out[:, :-1] |= core[:, 1:]
    return out
