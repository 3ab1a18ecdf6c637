"""The drift test rarely alarms without drift and detects a shift."""

from typing import Any

import pytest

from monitoring.config import DriftTestConfig
from monitoring.drift.columns import EMBEDDING
from monitoring.drift.compare import detect_drift
from monitoring.drift.result import DriftResult
from pipeline.contract.image_stats import STATISTICS, ImageStats
from pipeline.contract.prediction_log import PredictionRecord
from tests.unit.monitoring.fake_predictions import FakePredictions

CONFIG = DriftTestConfig(draws=200)
ROUNDS = 15


def _result(seed: int, **window: Any) -> DriftResult:
    predictions = FakePredictions(seed)
    reference = predictions.draw(40, 5)
    images = predictions.draw(**{"cells": 60, "copies": 1, **window})
    return detect_drift([image.record for image in images], reference, CONFIG)


@pytest.mark.parametrize("copies", [1, 4])
def test_unseen_cells_of_the_same_laboratory_rarely_alarm(copies: int) -> None:
    """At most one false alarm in 15 windows, also with several images per cell."""
    alarms = [_result(seed, cells=60 // copies, copies=copies).alarm for seed in range(ROUNDS)]
    assert sum(alarms) <= 1


def test_a_shifted_stain_alarms() -> None:
    """A stain shifted by two standard deviations between cells alarms in every window, by name."""
    results = [_result(seed, shift=20.0) for seed in range(ROUNDS)]
    assert all(result.alarm for result in results)
    worst = max(results[0].columns, key=lambda column: column.ratio)
    assert worst.name in ("red", "cell_red")
    assert f"{worst.name}: {worst.ratio:.1f}x the alarm threshold" in results[0].summary
    assert worst.window_median is not None
    assert worst.reference_median is not None
    assert worst.window_median > worst.reference_median + 10


def test_a_different_class_mix_is_reported_without_an_alarm() -> None:
    """The class mix of healthy blood changes the mix distance and does not alarm."""
    results = [_result(seed, mix=(0.03, 0.30, 0.05, 0.62)) for seed in range(ROUNDS)]
    assert sum(result.alarm for result in results) <= 1
    assert min(result.mix_distance for result in results) > 0.15
    assert {share.label for share in results[0].mix} >= {"NEUTROPHIL", "LYMPHOCYTE"}


def test_the_embedding_alone_can_alarm(predictions: FakePredictions) -> None:
    """A shift in the embedding alone alarms on the embedding column alone."""
    reference = predictions.draw(40, 5)
    moved = [
        image.record.model_copy(
            update={"embedding": tuple(value + 15 for value in image.record.embedding)}
        )
        for image in predictions.draw(60, 1)
    ]
    result = detect_drift(moved, reference, CONFIG)
    assert [column.name for column in result.columns if column.ratio > 1] == [EMBEDDING]


@pytest.mark.parametrize("old", ["reference", "window", "one line"])
def test_a_statistic_missing_in_old_log_lines_is_not_compared(
    predictions: FakePredictions, monkeypatch: pytest.MonkeyPatch, old: str
) -> None:
    """The other columns are tested as before; a caveat names the missing statistic."""

    class WithHaze(ImageStats):
        haze: float | None = None

    def with_haze(record: PredictionRecord, haze: float | None) -> PredictionRecord:
        stats = WithHaze(**record.stats.model_dump(), haze=haze)
        return record.model_copy(update={"stats": stats})

    reference = predictions.draw(40, 5)
    window = [image.record for image in predictions.draw(60, 1)]
    before = detect_drift(window, reference, CONFIG)
    monkeypatch.setattr("pipeline.contract.image_stats.STATISTICS", (*STATISTICS, "haze"))
    reference = [
        image.model_copy(
            update={"record": with_haze(image.record, None if old == "reference" else 0.2)}
        )
        for image in reference
    ]
    window = [
        with_haze(record, None if old == "window" or (old == "one line" and not index) else 0.2)
        for index, record in enumerate(window)
    ]
    after = detect_drift(window, reference, CONFIG)
    assert after.columns == before.columns
    (caveat,) = set(after.caveats) - set(before.caveats)
    assert caveat.endswith("haze")


def test_images_without_a_cell_alarm_on_quality(predictions: FakePredictions) -> None:
    """A high share of images without a cell alarms although no column does."""
    reference = predictions.draw(40, 5)
    records = [image.record for image in predictions.draw(60, 1)]
    window = [r.model_copy(update={"cell_found": i >= 15}) for i, r in enumerate(records)]
    result = detect_drift(window, reference, CONFIG)
    assert result.quality is not None
    assert result.quality.alarm
    assert result.quality.window == 0.25
    assert result.alarm


def test_one_image_without_a_cell_is_no_alarm(predictions: FakePredictions) -> None:
    """A single image without a cell does not alarm, even if the reference has none."""
    reference = predictions.draw(40, 5)
    records = [image.record for image in predictions.draw(60, 1)]
    window = [r.model_copy(update={"cell_found": i > 0}) for i, r in enumerate(records)]
    assert not detect_drift(window, reference, CONFIG).alarm


def test_repeated_images_count_once(predictions: FakePredictions) -> None:
    """A hundred requests with one image count as one image: too few to test."""
    record = predictions.draw(1, 1, shift=50)[0].record
    window = [record.model_copy(update={"request_id": f"again{i}"}) for i in range(100)]
    result = detect_drift(window, predictions.draw(40, 5), CONFIG)
    assert (result.verdict, result.distinct, result.n) == ("not_enough", 1, 100)
    assert "too few images to test: 1 distinct in 100 predictions, at least 30" in result.summary
    assert not result.alarm
    assert result.p_value is None


def test_a_reference_of_few_cells_is_not_tested_against(predictions: FakePredictions) -> None:
    """The reason gives the number of reference groups and the minimum."""
    window = [image.record for image in predictions.draw(60, 1, shift=50)]
    result = detect_drift(window, predictions.draw(5, 20), CONFIG)
    assert result.verdict == "not_enough"
    (reason,) = result.reasons
    assert reason.startswith("too few reference groups to test: 5 groups, at least 8 required")


def test_an_empty_window_is_not_enough(predictions: FakePredictions) -> None:
    """A window without predictions is `not_enough`, not an error."""
    assert detect_drift([], predictions.draw(40, 2), CONFIG).verdict == "not_enough"


def test_a_class_missing_in_the_reference_is_compared_unmatched(
    predictions: FakePredictions,
) -> None:
    """A window predicted as a class missing in the reference is tested without class matching."""
    reference = predictions.draw(40, 5)
    window = [
        image.record.model_copy(update={"label": "BASOPHIL"})
        for image in predictions.draw(60, 1, shift=40)
    ]
    result = detect_drift(window, reference, CONFIG)
    assert result.alarm
    assert "without matching" in result.caveats[0]


def test_a_large_reference_keeps_every_cell(predictions: FakePredictions) -> None:
    """A reference above `max_images` is subsampled by images, not by cells."""
    reference = predictions.draw(40, 6)
    window = [image.record for image in predictions.draw(60, 1)]
    result = detect_drift(window, reference, CONFIG.model_copy(update={"max_images": 100}))
    assert (result.verdict, result.reference_groups) == ("quiet", 40)


def test_the_result_is_deterministic(predictions: FakePredictions) -> None:
    """The same window and reference give an equal result."""
    reference = predictions.draw(40, 3)
    window = [image.record for image in predictions.draw(50, 1)]
    assert detect_drift(window, reference, CONFIG) == detect_drift(window, reference, CONFIG)
