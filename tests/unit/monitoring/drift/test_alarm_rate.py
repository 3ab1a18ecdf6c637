"""Windows drawn from a scored archive, and their alarm rate."""

import pytest

from monitoring.config import DriftTestConfig
from monitoring.drift.alarm_rate import draw_windows, measure_alarm_rate
from pipeline.errors import InvalidInputError
from tests.unit.monitoring.fake_predictions import FakePredictions


def test_windows_are_reproducible_and_contain_distinct_images(predictions: FakePredictions) -> None:
    """The same seed draws the same windows; no window repeats an image."""
    records = predictions.draw(20, 2)
    windows = draw_windows(records, 15, 3, seed=5)
    assert windows == draw_windows(records, 15, 3, seed=5)
    assert windows != draw_windows(records, 15, 3, seed=6)
    assert [len({item.record.request_id for item in one}) for one in windows] == [15] * 3


def test_a_window_larger_than_the_archive_is_refused(predictions: FakePredictions) -> None:
    """Images are not repeated to fill a window."""
    with pytest.raises(InvalidInputError, match="expected 1 to 10 images; received 11"):
        draw_windows(predictions.draw(10, 1), 11, 1, seed=0)


def test_alarm_share_is_the_share_of_windows(predictions: FakePredictions) -> None:
    """Of all windows, also of those too small to test; the first of each kind is summarised."""
    reference, shifted = predictions.draw(40, 4), predictions.draw(40, 2, shift=40)
    config = DriftTestConfig(draws=100)
    result = measure_alarm_rate(shifted, reference, 40, 3, config)
    assert result.alarm_share == 1.0
    assert len(result.windows) == 3
    assert result.examples() == [f"alarm in 3 windows, first: {result.windows[0].summary}"]
    small = measure_alarm_rate(shifted, reference, 20, 2, config)
    assert small.alarm_share == 0.0
    (line,) = small.examples()
    assert line.startswith("not_enough in 2 windows, first: too few images to test: 20 distinct")
