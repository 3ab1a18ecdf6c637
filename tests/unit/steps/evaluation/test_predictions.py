"""Predictions for labelled images equal those of the service."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.records import Record
from pipeline.steps.evaluation.predictions import predict_images

if TYPE_CHECKING:
    from tests.conftest import Stage


def image(label: str, group: str, sha256: str = "") -> Record:
    return Record(sha256=sha256, label=label, file="", archive="", group=group)


def test_images_are_predicted_as_the_service_does(
    stage: "Stage", cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """One log record per image, in the order of the images."""
    served = stage.publish(tmp_path / "bundle")
    folder = stage.artifacts.fetch(served, tmp_path / "fetched")
    classes = stage.contract.classes
    images = [(image(classes[kind], str(kind), "f" * 64), cell_image(kind)) for kind in (3, 0)]
    when = datetime(2026, 11, 1, tzinfo=UTC)
    predictions = predict_images(images, served, folder, when)
    assert [logged.label for logged in predictions.logged] == [classes[3], classes[0]]
    assert predictions.probabilities.shape == (2, 4)
    assert predictions.uncertainties.shape == (2,)
    assert [logged.decision == "review" for logged in predictions.logged] == list(
        predictions.uncertainties > 1
    )
    first = predictions.logged[0]
    assert (first.tag, first.time, first.request_id) == (served.manifest.tag, when, "f" * 16)
    assert list(first.probabilities) == list(classes)
    assert len(first.embedding) == stage.contract.embedding_size
