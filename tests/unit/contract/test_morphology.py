"""Erosion and opening give SciPy's result."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.contract.morphology import eroded, opened


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 3), (40, 31)])
@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_erosion_and_opening_equal_scipys(shape: tuple[int, int], share: float) -> None:
    """For any shape of the mask, borders included."""
    mask = np.random.default_rng(3).random(shape) < share
    np.testing.assert_array_equal(eroded(mask), ndimage.binary_erosion(mask))
    np.testing.assert_array_equal(opened(mask), ndimage.binary_opening(mask))
