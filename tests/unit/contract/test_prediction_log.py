"""Log lines of earlier versions can be read."""

from datetime import UTC, datetime

from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord, kept_image_path
from tests.unit.monitoring.fake_predictions import FakePredictions


def test_a_line_without_an_image_has_no_image_field() -> None:
    """Lines of earlier versions are read; without a kept image the field is not written."""
    (reference,) = FakePredictions(seed=1).draw(1, 1)
    line = reference.record.model_dump_json()
    assert "image" not in line
    assert PredictionRecord.model_validate_json(line) == reference.record
    kept = reference.record.model_copy(update={"image": "0" * 64})
    assert PredictionRecord.model_validate_json(kept.model_dump_json()) == kept


def test_the_path_of_a_kept_image_has_the_day_of_its_prediction() -> None:
    """Service and gather use the same path."""
    assert kept_image_path(datetime(2026, 11, 22, 23, 59, tzinfo=UTC), "ab") == "2026-11-22/ab.png"


def test_a_reference_of_an_earlier_version_has_a_cell() -> None:
    """Version 0.1 wrote no cell, since its groups were cells; a written cell is kept."""
    (line,) = FakePredictions(seed=1).draw(1, 1)
    old = line.model_dump(mode="json", exclude={"cell"})
    assert ReferenceRecord.model_validate(old).cell == line.group
    new = line.model_copy(update={"cell": "c1"})
    assert ReferenceRecord.model_validate_json(new.model_dump_json()) == new
