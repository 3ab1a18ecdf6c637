"""Classifier: only a verified bundle is served."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bento_service.inference.classifier import Classifier
from pipeline.contract.decision import write_review
from pipeline.errors import ArtifactError, InvalidInputError


@pytest.fixture
def bundle(stage: Any, tmp_path: Path) -> Path:
    """A fetched bundle, its manifest included."""
    served = stage.publish(tmp_path / "built")
    folder: Path = stage.artifacts.fetch(served, tmp_path / "bundle")
    return folder


def test_the_folder_may_be_removed_after_loading(
    bundle: Path, cell_image: Callable[..., bytes]
) -> None:
    """The engine keeps what it needs of the temporary copy."""
    classifier = Classifier(bundle)
    before = classifier.classify(cell_image(0))
    shutil.rmtree(bundle)
    after = classifier.classify(cell_image(0))
    assert after.probabilities == before.probabilities
    assert abs(sum(after.probabilities.values()) - 1) < 1e-5
    assert after.embedding.shape == (8,)


def test_concurrent_requests_get_the_same_result(
    bundle: Path, cell_image: Callable[..., bytes]
) -> None:
    """`concurrent` is called once, after decoding, and changes only the latency."""
    classifier = Classifier(bundle)
    calls: list[bool] = []

    def concurrent() -> bool:
        calls.append(True)
        return True

    single, parallel = (
        classifier.classify(cell_image(0)),
        classifier.classify(cell_image(0), concurrent=concurrent),
    )
    assert calls == [True]
    assert parallel.probabilities == pytest.approx(single.probabilities, abs=1e-6)
    assert classifier.explain(cell_image(0), concurrent=concurrent).label == single.label
    assert len(calls) > 10
    with pytest.raises(InvalidInputError):
        classifier.classify(b"not an image", concurrent=concurrent)


def test_bytes_that_are_not_an_image_are_invalid_input(bundle: Path) -> None:
    """The error that becomes a 422."""
    with pytest.raises(InvalidInputError):
        Classifier(bundle).classify(b"not an image")


def test_the_evidence_map_is_for_the_predicted_class(
    bundle: Path, cell_image: Callable[..., bytes]
) -> None:
    """It has the expected size and is not grey: some parts are evidence."""
    classifier = Classifier(bundle)
    explained = classifier.explain(cell_image(0))
    assert explained.label == classifier.classify(cell_image(0)).label
    assert explained.picture.size == (384, 384)
    assert np.ptp(np.asarray(explained.picture).astype(int), axis=-1).max() > 40


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "contract.json", "golden/0.jpeg"])
def test_a_changed_file_is_refused(bundle: Path, name: str) -> None:
    """One flipped byte in any file is detected before the file is used."""
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="does not match its manifest"):
        Classifier(bundle)


def test_missing_and_unlisted_files_are_refused(bundle: Path) -> None:
    """The folder must contain exactly the files of the manifest."""
    (bundle / "extra.xml").write_text("<net/>")
    with pytest.raises(ArtifactError, match="files of its manifest"):
        Classifier(bundle)
    (bundle / "extra.xml").unlink()
    (bundle / "model.bin").unlink()
    with pytest.raises(ArtifactError, match="files of its manifest"):
        Classifier(bundle)


def test_a_model_that_disagrees_with_its_golden_images_is_refused(
    stage: Any, tmp_path: Path
) -> None:
    """Valid hashes do not replace the golden images."""
    first = tmp_path / "first"
    stage.publish(first)
    expected = json.loads((first / "golden/golden.json").read_text())
    for example in expected:
        example["probabilities"] = example["probabilities"][::-1]
    (first / "golden/golden.json").write_text(json.dumps(expected))
    forged = stage.artifacts.publish(first, stage.publish(tmp_path / "other", 1).manifest)
    folder = stage.artifacts.fetch(forged, tmp_path / "forged")
    with pytest.raises(ArtifactError, match="differs from the stored probabilities"):
        Classifier(folder)


def test_every_review_reason_has_a_message(bundle: Path) -> None:
    """An empty grey photograph has no nucleus and a low confidence; both are reported."""
    grey = io.BytesIO()
    Image.new("L", (100, 80), 205).save(grey, "PNG")
    prediction = Classifier(bundle).classify(grey.getvalue())
    assert prediction.decision == "review"
    messages = {reason.code: reason.message for reason in prediction.reasons}
    assert messages.keys() == {"no_cell_found", "low_confidence"}
    assert "below the limit of 80.0%" in messages["low_confidence"]


def test_an_image_unlike_the_training_images_needs_review(
    stage: Any, tmp_path: Path, cell_image: Callable[..., bytes]
) -> None:
    """Whatever its confidence; the message states the distance."""
    built = tmp_path / "built"
    manifest = stage.publish(built).manifest
    near = Classifier(stage.artifacts.fetch(stage.publish(built), tmp_path / "near"))
    rule = near.rule.model_copy(
        update={"max_distance": near.rule.distance(near.classify(cell_image(0)).embedding) / 2}
    )
    write_review(built, rule)
    strict = stage.artifacts.publish(built, manifest)
    prediction = Classifier(stage.artifacts.fetch(strict, tmp_path / "far")).classify(cell_image(0))
    assert (prediction.decision, round(prediction.uncertainty, 2)) == ("review", 4.0)
    assert "2.0x the review limit" in prediction.reasons[-1].message


def test_a_bundle_without_a_review_rule_is_refused(stage: Any, tmp_path: Path) -> None:
    """Valid hashes do not replace a review rule."""
    built = tmp_path / "built"
    manifest = stage.publish(built).manifest
    (built / "review.json").unlink()
    served = stage.artifacts.publish(built, manifest)
    with pytest.raises(ArtifactError, match="no review rule"):
        Classifier(stage.artifacts.fetch(served, tmp_path / "fetched"))


def test_check_prints_json_without_bentoml(bundle: Path) -> None:
    """Measurements and exit code 0, or an error and 1."""
    good = _check(bundle)
    assert good.returncode == 0
    result = json.loads(good.stdout)
    assert result["ok"]
    assert result.keys() >= {
        "tag", "golden_worst", "load_seconds", "latency_ms", "peak_rss_mb", "bytes"
    }  # fmt: skip
    (bundle / "model.bin").unlink()
    bad = _check(bundle)
    assert bad.returncode == 1
    assert json.loads(bad.stdout)["error"]["expected"]


def _check(folder: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.modules['bentoml'] = None; sys.modules['tensorflow'] = None\n"
        "from bento_service.inference.classifier import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "check", str(folder)],
        capture_output=True, text=True, check=False, env=dict(os.environ), timeout=120,
    )  # fmt: skip
