"""Windows drawn from a scored archive."""

import pytest

from monitoring.config import DriftTestConfig
from monitoring.drift.alarm_rate import draw_windows, measure_alarm_rate
from pipeline.errors import InvalidInputError
from tests.unit.monitoring.fake_predictions import FakePredictions


def test_windows_repeat_for_a_seed_and_hold_different_images(predictions: FakePredictions) -> None:
    """The same seed draws the same windows; none shows an image twice."""
    records = predictions.draw(20, 2)
    windows = draw_windows(records, 15, 3, seed=5)
    assert windows == draw_windows(records, 15, 3, seed=5)
    assert windows != draw_windows(records, 15, 3, seed=6)
    assert [len({item.record.request_id for item in one}) for one in windows] == [15] * 3


def test_a_window_larger_than_the_archive_is_refused(predictions: FakePredictions) -> None:
    """Images are not repeated to fill a window."""
    with pytest.raises(InvalidInputError, match="expected 1 to 10 images; received 11"):
        draw_windows(predictions.draw(10, 1), 11, 1, seed=0)


def test_alarm_share_counts_windows(predictions: FakePredictions) -> None:
    """The share is of windows, and each verdict is listed."""
    reference, moved = predictions.draw(40, 4), predictions.draw(40, 2, shift=40)
    config = DriftTestConfig(draws=100)
    found = measure_alarm_rate(moved, reference, 40, 3, config)
    assert found["alarm_share"] == 1.0
    assert isinstance(found["windows"], list)
    assert len(found["windows"]) == 3
    assert measure_alarm_rate(moved, reference, 20, 2, config)["alarm_share"] == 0.0
