"""What a worker remembers of an answer, with and without its image."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from bento_service.inference.classifier import Classifier, Prediction
from bento_service.prediction_log.uploader import Outbox
from bento_service.prediction_log.writer import Records
from pipeline.adapters.storage import LocalStore
from pipeline.contract.prediction_log import PredictionRecord, kept_path
from pipeline.settings import Settings

if TYPE_CHECKING:
    from tests.conftest import Stage

SECRET = "Jane-Doe-1971"


def tagged(image: bytes) -> bytes:
    """The image lying on its side, with EXIF and a comment that name somebody."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif[0x0112] = 6  # to be turned upright
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).save(out, "JPEG", exif=exif, comment=SECRET.encode())
    return out.getvalue()


@pytest.fixture
def prediction(stage: "Stage", tmp_path: Path, cell_image: Callable[..., bytes]) -> Prediction:
    """The answer to an image whose file says too much."""
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    return Classifier(bundle).classify(tagged(cell_image(0)))


def remember(prediction: Prediction, root: Path, *, keep: bool) -> PredictionRecord:
    """Write an answer down and bring it to the store; the line that arrived."""
    settings = Settings(
        leukoflow_home=root / "home", store_uri=str(root / "store"), keep_images=keep
    )
    records = Records(settings, LocalStore(), "blood_cells")
    records.answered(prediction, "blood_cells:1", "/classify", "mine")
    records.close()
    (line,) = (root / "store/logs").rglob("*.jsonl")
    return PredictionRecord.model_validate_json(line.read_text())


def test_a_kept_image_is_its_upright_pixels_and_nothing_else(
    prediction: Prediction, tmp_path: Path
) -> None:
    """The line leads to it, and what the file said besides is gone."""
    record = remember(prediction, tmp_path, keep=True)
    kept = tmp_path / "store/kept/blood_cells" / kept_path(record.time, record.image)
    image = Image.open(kept)
    assert (image.size, image.info, dict(image.getexif())) == ((240, 320), {}, {})
    assert np.array_equal(np.asarray(image), prediction.prepared.image)
    assert SECRET.encode() not in kept.read_bytes()


def test_without_the_setting_no_image_is_kept(prediction: Prediction, tmp_path: Path) -> None:
    """The line says so."""
    assert remember(prediction, tmp_path, keep=False).image == ""
    assert not list(tmp_path.rglob("*.png"))


def test_a_full_disk_costs_the_image_not_the_answer(
    prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is written and leads to no image."""

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Outbox, "put", full)
    assert remember(prediction, tmp_path, keep=True).image == ""
