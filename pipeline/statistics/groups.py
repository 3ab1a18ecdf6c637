"""Integer codes of groups, mean probabilities per group, and the array types of this package."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def group_codes(groups: Sequence[str]) -> Ints:
    """Integer code of the group of each row (n,), 0 to k-1 in the order of the names."""
    return np.asarray(np.unique(np.array(groups), return_inverse=True)[1], dtype=np.int64)


def mean_per_group(probabilities: Floats, codes: Ints) -> Floats:
    """Mean probabilities (k, classes) over the images of each group, such as a cell."""
    sums = np.zeros((int(codes.max()) + 1, probabilities.shape[1]))
    np.add.at(sums, codes, probabilities)
    return np.asarray(sums / np.bincount(codes)[:, None])
