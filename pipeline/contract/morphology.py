"""Binary erosion and opening by a 5-pixel cross: SciPy's result, several times faster."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def eroded(mask: Mask) -> Mask:
    """Binary erosion of a mask (height, width); border pixels become False."""
    out = np.zeros_like(mask)
    out[1:-1, 1:-1] = (
        mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    )
    return out


def opened(mask: Mask) -> Mask:
    """Binary opening of a mask (height, width): parts narrower than the cross are removed."""
    core = eroded(mask)
    out = core.copy()
    out[1:] |= core[:-1]
    out[:-1] |= core[1:]
    out[:, 1:] |= core[:, :-1]
    out[:, :-1] |= core[:, 1:]
    return out
