"""The calibrated test keeps quiet without drift and sees it where there is some."""

from typing import Any

import pytest

from monitoring.config import DriftTestConfig
from monitoring.drift.detector import EMBEDDING, detect_drift
from monitoring.drift.result import DriftResult
from pipeline.contract.image_stats import STATISTICS, ImageStats
from pipeline.contract.prediction_log import PredictionRecord
from tests.unit.monitoring.fake_predictions import FakePredictions

CONFIG = DriftTestConfig(draws=200)
ROUNDS = 15


def _verdict(seed: int, **window: Any) -> DriftResult:
    predictions = FakePredictions(seed)
    reference = predictions.draw(40, 5)
    images = predictions.draw(**{"cells": 60, "copies": 1, **window})
    return detect_drift([image.record for image in images], reference, CONFIG)


@pytest.mark.parametrize("copies", [1, 4])
def test_unseen_cells_of_the_same_laboratory_are_quiet(copies: int) -> None:
    """Windows of unseen cells, also of few cells with several images, hardly ever alarm."""
    alarms = [_verdict(seed, cells=60 // copies, copies=copies).alarm for seed in range(ROUNDS)]
    assert sum(alarms) <= 1


def test_another_stain_alarms() -> None:
    """A stain that moved by two spreads between cells alarms each time, and by name."""
    verdicts = [_verdict(seed, shift=20.0) for seed in range(ROUNDS)]
    assert all(verdict.alarm for verdict in verdicts)
    worst = max(verdicts[0].columns, key=lambda column: column.ratio)
    assert worst.name in ("red", "cell_red")
    assert worst.window_median is not None
    assert worst.reference_median is not None
    assert worst.window_median > worst.reference_median + 10


def test_another_class_mix_is_told_but_is_no_alarm() -> None:
    """A differential of healthy blood is reported as a mix and does not alarm."""
    verdicts = [_verdict(seed, mix=(0.03, 0.30, 0.05, 0.62)) for seed in range(ROUNDS)]
    assert sum(verdict.alarm for verdict in verdicts) <= 1
    assert min(verdict.mix_distance for verdict in verdicts) > 0.15
    assert {share.label for share in verdicts[0].mix} >= {"NEUTROPHIL", "LYMPHOCYTE"}


def test_the_embedding_alone_can_alarm(predictions: FakePredictions) -> None:
    """A change that only the network sees alarms by the embedding."""
    reference = predictions.draw(40, 5)
    moved = [
        image.record.model_copy(
            update={"embedding": tuple(value + 15 for value in image.record.embedding)}
        )
        for image in predictions.draw(60, 1)
    ]
    verdict = detect_drift(moved, reference, CONFIG)
    assert [column.name for column in verdict.columns if column.ratio > 1] == [EMBEDDING]


@pytest.mark.parametrize("old", ["reference", "window", "one line"])
def test_a_statistic_that_old_lines_lack_is_not_compared(
    predictions: FakePredictions, monkeypatch: pytest.MonkeyPatch, old: str
) -> None:
    """The other columns are tested as before, and a caveat names the one that is left out."""

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
    """Many images in which no cell is found alarm, although every column is quiet."""
    reference = predictions.draw(40, 5)
    records = [image.record for image in predictions.draw(60, 1)]
    window = [r.model_copy(update={"cell_found": i >= 15}) for i, r in enumerate(records)]
    verdict = detect_drift(window, reference, CONFIG)
    assert verdict.quality is not None
    assert verdict.quality.alarm
    assert verdict.quality.window == 0.25
    assert verdict.alarm


def test_one_image_without_a_cell_is_no_alarm(predictions: FakePredictions) -> None:
    """A single miss is what chance gives, even if the reference has none."""
    reference = predictions.draw(40, 5)
    records = [image.record for image in predictions.draw(60, 1)]
    window = [r.model_copy(update={"cell_found": i > 0}) for i, r in enumerate(records)]
    assert not detect_drift(window, reference, CONFIG).alarm


def test_repeated_images_count_once(predictions: FakePredictions) -> None:
    """A hundred requests with one image are one image, which is too little to tell."""
    record = predictions.draw(1, 1, shift=50)[0].record
    window = [record.model_copy(update={"request_id": f"again{i}"}) for i in range(100)]
    verdict = detect_drift(window, predictions.draw(40, 5), CONFIG)
    assert (verdict.verdict, verdict.distinct, verdict.n) == ("not_enough", 1, 100)
    assert not verdict.alarm
    assert verdict.p_value is None


def test_a_weak_reference_is_said(predictions: FakePredictions) -> None:
    """A reference of few cells cannot tell chance from drift, and the verdict says so."""
    window = [image.record for image in predictions.draw(60, 1, shift=50)]
    verdict = detect_drift(window, predictions.draw(5, 20), CONFIG)
    assert verdict.verdict == "not_enough"
    assert "5 source cells" in verdict.reasons[0]


def test_an_empty_window_is_not_enough(predictions: FakePredictions) -> None:
    """No predictions, no verdict, no error."""
    assert detect_drift([], predictions.draw(40, 2), CONFIG).verdict == "not_enough"


def test_a_class_the_reference_never_shows_is_not_hidden(predictions: FakePredictions) -> None:
    """A window called by an unknown class is still compared, unmatched, and alarms if moved."""
    reference = predictions.draw(40, 5)
    window = [
        image.record.model_copy(update={"label": "BASOPHIL"})
        for image in predictions.draw(60, 1, shift=40)
    ]
    verdict = detect_drift(window, reference, CONFIG)
    assert verdict.alarm
    assert "without matching" in verdict.caveats[0]


def test_a_large_reference_is_thinned_by_images_not_by_cells(predictions: FakePredictions) -> None:
    """More images than the limit still give a verdict over all cells."""
    reference = predictions.draw(40, 6)
    window = [image.record for image in predictions.draw(60, 1)]
    verdict = detect_drift(window, reference, CONFIG.model_copy(update={"max_images": 100}))
    assert (verdict.verdict, verdict.reference_groups) == ("quiet", 40)


def test_the_verdict_repeats(predictions: FakePredictions) -> None:
    """The same window and reference give the same verdict, number for number."""
    reference = predictions.draw(40, 3)
    window = [image.record for image in predictions.draw(50, 1)]
    assert detect_drift(window, reference, CONFIG) == detect_drift(window, reference, CONFIG)
