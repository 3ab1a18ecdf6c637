"""The difference of two models on the same cells."""

import numpy as np
import pytest

from pipeline.statistics.groups import Ints
from pipeline.statistics.paired_comparison import Differences, PairedPredictions, paired_differences

CELLS = np.arange(40)
TRUTH = CELLS % 2
DRAWS = 1000


def missing(cells: Ints) -> Ints:
    """Predictions that are wrong for these cells."""
    return np.where(np.isin(CELLS, cells), 2, TRUTH)


def compared(new: Ints, old: Ints, copies: int = 1) -> Differences:
    truth, new, old, codes = (np.repeat(x, copies) for x in (TRUTH, new, old, CELLS))
    return paired_differences(PairedPredictions(truth, new, old, codes, codes), draws=DRAWS)


def test_equal_predictions_still_have_an_interval() -> None:
    """Common errors cancel; twenty cells per class without a difference leave a margin.

    A class leaves 1 - 0.025 ** (1 / 20) = 0.168, two of them 0.168 / sqrt(2).
    """
    same = missing(CELLS[:12])
    result = compared(same, same)
    assert (result.overall.value, result.overall.resampled_low, result.overall.differing) == (
        0,
        0,
        0,
    )
    assert (result.by_class[0].low, result.by_class[0].high) == pytest.approx(
        (-0.168, 0.168), abs=0.001
    )
    assert (result.overall.low, result.overall.high) == pytest.approx((-0.119, 0.119), abs=0.001)


def test_the_sign_is_challenger_minus_champion() -> None:
    """A gain is positive, in its class and in the mean over classes."""
    result = compared(missing(CELLS[:0]), missing(CELLS[:8:2]))
    assert result.by_class[0].value == pytest.approx(0.2)
    assert (result.by_class[0].cells, result.by_class[0].differing) == (20, 4)
    assert (result.by_class[1].value, result.by_class[1].differing) == (0, 0)
    assert result.overall.value == pytest.approx(0.1)
    assert (result.overall.cells, result.overall.differing) == (40, 4)
    assert result.overall.resampled_low > 0


def test_four_gained_cells_are_no_proof() -> None:
    """As in McNemar's exact test (p = 0.125): the interval contains 0; with sixteen it does not."""
    four, eight = (compared(missing(CELLS[:0]), missing(CELLS[:n:2])) for n in (8, 32))
    assert four.by_class[0].low < 0 < eight.by_class[0].low


def test_a_patient_with_several_classes_is_one_group() -> None:
    """Cells of one patient are resampled together, also for classes that a resample may lack."""
    truth = np.array([0, 1, 0, 1, 0, 2])
    result = paired_differences(
        PairedPredictions(
            truth,
            truth,
            np.zeros(6, np.int64),
            np.array([0, 0, 1, 1, 2, 2]),
            np.arange(6),
        ),
        draws=DRAWS,
    )
    assert result.by_class[1].value == 1
    assert (result.overall.cells, result.overall.differing) == (6, 3)
    assert all(-1 <= one.low < one.high <= 1 for one in (result.overall, *result.by_class.values()))


def test_copies_of_a_cell_do_not_change_the_interval() -> None:
    """A hundred copies of each cell give the interval of one of each."""
    new, old = missing(CELLS[:2]), missing(CELLS[10:11])
    one, many = compared(new, old).overall, compared(new, old, copies=100).overall
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_the_interval_of_three_cells_is_from_minus_one_to_one() -> None:
    """Two of three are drawn, so that many resamples have one cell only."""
    result = paired_differences(
        PairedPredictions(
            np.zeros(3, np.int64),
            np.array([0, 0, 1]),
            np.array([0, 1, 0]),
            np.arange(3),
            np.arange(3),
        ),
        draws=DRAWS,
    )
    assert (result.by_class[0].low, result.by_class[0].high) == (-1, 1)


def test_an_absent_class_is_left_out() -> None:
    """It has no sensitivity."""
    truth = np.array([0, 0, 2, 2])
    result = paired_differences(
        PairedPredictions(truth, truth, truth, np.arange(4), np.arange(4)), draws=DRAWS
    )
    assert result.by_class.keys() == {0, 2}


def test_a_comparison_needs_images() -> None:
    """Without them there is an error, not an empty result."""
    none = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="no images"):
        paired_differences(PairedPredictions(none, none, none, none, none), draws=DRAWS)
