"""Prediction log: records with and without kept images."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from bento_service.inference.classifier import Classifier, Prediction
from bento_service.prediction_log.uploader import LogUploader
from bento_service.prediction_log.writer import PredictionLog
from pipeline.adapters.storage import LocalStore
from pipeline.contract.prediction_log import PredictionRecord, kept_image_path
from pipeline.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Stage

SECRET = "Jane-Doe-1971"


def tagged(image: bytes) -> bytes:
    """The image rotated, with a name in its EXIF and comment."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif[0x0112] = 6  # to be turned upright
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).save(out, "JPEG", exif=exif, comment=SECRET.encode())
    return out.getvalue()


@pytest.fixture
def prediction(stage: "Stage", tmp_path: Path, cell_image: Callable[..., bytes]) -> Prediction:
    """The prediction for an image with personal metadata."""
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    return Classifier(bundle).classify(tagged(cell_image(0)))


def log_and_upload(prediction: Prediction, root: Path, *, keep: bool) -> PredictionRecord:
    """Log a prediction, upload it, and return the record in the store."""
    settings = Settings(
        leukoflow_home=root / "home", store_uri=str(root / "store"), keep_images=keep
    )
    log = PredictionLog(settings, LocalStore(), "blood_cells")
    log.log_prediction(prediction, "blood_cells:1", "/classify", "mine")
    log.close()
    (line,) = (root / "store/logs").rglob("*.jsonl")
    return PredictionRecord.model_validate_json(line.read_text())


def test_a_kept_image_is_its_upright_pixels_and_nothing_else(
    prediction: Prediction, tmp_path: Path
) -> None:
    """The record refers to it, and all metadata is removed."""
    record = log_and_upload(prediction, tmp_path, keep=True)
    kept = tmp_path / "store/kept/blood_cells" / kept_image_path(record.time, record.image)
    image = Image.open(kept)
    assert (image.size, image.info, dict(image.getexif())) == ((240, 320), {}, {})
    assert np.array_equal(np.asarray(image), prediction.prepared.image)
    assert SECRET.encode() not in kept.read_bytes()


def test_without_the_setting_no_image_is_kept(prediction: Prediction, tmp_path: Path) -> None:
    """The record refers to none."""
    assert log_and_upload(prediction, tmp_path, keep=False).image == ""
    assert not list(tmp_path.rglob("*.png"))


def test_a_full_disk_loses_only_the_image(
    prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written without an image."""

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(LogUploader, "put", full)
    assert log_and_upload(prediction, tmp_path, keep=True).image == ""
