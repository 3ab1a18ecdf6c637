"""The difference of two models on the same cells."""

import numpy as np
import pytest

from pipeline.modeling.metrics import Ints
from pipeline.modeling.paired import Differences, paired_differences

CELLS = np.arange(40)
TRUTH = CELLS % 2
DRAWS = 1000


def missing(cells: Ints) -> Ints:
    """Answers that are wrong for these cells."""
    return np.where(np.isin(CELLS, cells), 2, TRUTH)


def compared(new: Ints, old: Ints, copies: int = 1) -> Differences:
    truth, new, old, codes = (np.repeat(x, copies) for x in (TRUTH, new, old, CELLS))
    return paired_differences(truth, new, old, codes, draws=DRAWS)


def test_equal_answers_differ_by_nothing_for_sure() -> None:
    """What both models miss cancels: the comparison is paired."""
    same = missing(CELLS[:12])
    found = compared(same, same)
    assert (found.overall.value, found.overall.low, found.overall.high) == (0, 0, 0)


def test_the_sign_is_challenger_minus_champion() -> None:
    """A gain is positive, in the class where it happened and in the mean over classes."""
    found = compared(missing(CELLS[:0]), missing(CELLS[:8:2]))
    assert found.by_class[0].value == pytest.approx(0.2)
    assert found.by_class[1].value == 0
    assert found.overall.value == pytest.approx(0.1)
    assert found.overall.low > 0


def test_copies_of_a_cell_prove_nothing() -> None:
    """A hundred copies of each cell give the interval that one of each gives."""
    new, old = missing(CELLS[:2]), missing(CELLS[10:11])
    one, many = compared(new, old).overall, compared(new, old, copies=100).overall
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_the_interval_of_three_cells_reaches_the_worst_and_the_best() -> None:
    """One fewer is drawn than there are, so that a resample of one cell alone is no rarity."""
    found = paired_differences(
        np.zeros(3, np.int64), np.array([0, 0, 1]), np.array([0, 1, 0]), np.arange(3), draws=DRAWS
    )
    assert (found.by_class[0].low, found.by_class[0].high) == (-1, 1)


def test_a_class_nobody_has_is_left_out() -> None:
    """An absent class has no sensitivity to lose."""
    truth = np.array([0, 0, 2, 2])
    found = paired_differences(truth, truth, truth, np.arange(4), draws=DRAWS)
    assert found.by_class.keys() == {0, 2}


def test_no_images_are_no_comparison() -> None:
    """Nothing is judged on nothing."""
    none = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="no images"):
        paired_differences(none, none, none, none, draws=DRAWS)
