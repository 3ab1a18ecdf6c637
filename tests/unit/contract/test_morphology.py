"""Morphology on masks is SciPy's."""

import numpy as np
import pytest
from scipy import ndimage

from pipeline.contract.morphology import eroded, opened


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 3), (40, 31)])
@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_a_mask_shrinks_and_opens_as_with_scipy(shape: tuple[int, int], share: float) -> None:
    """Whatever the shape, borders included."""
    mask = np.random.default_rng(3).random(shape) < share
    np.testing.assert_array_equal(eroded(mask), ndimage.binary_erosion(mask))
    np.testing.assert_array_equal(opened(mask), ndimage.binary_opening(mask))
