"""A bundle is served only if it is exactly what its manifest says."""

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


def test_answers_survive_the_removal_of_the_folder(
    bundle: Path, cell_image: Callable[..., bytes]
) -> None:
    """The engine keeps what it needs, so that the private copy can be deleted after loading."""
    classifier = Classifier(bundle)
    before = classifier.classify(cell_image(0))
    shutil.rmtree(bundle)
    after = classifier.classify(cell_image(0))
    assert after.probabilities == before.probabilities
    assert abs(sum(after.probabilities.values()) - 1) < 1e-5
    assert after.embedding.shape == (8,)


def test_an_answer_in_a_crowd_is_the_answer_alone(
    bundle: Path, cell_image: Callable[..., bytes]
) -> None:
    """Whether others ask is asked once the image is decoded, and changes nothing but the time."""
    classifier = Classifier(bundle)
    asked: list[bool] = []

    def crowd() -> bool:
        asked.append(True)
        return True

    alone, together = (
        classifier.classify(cell_image(0)),
        classifier.classify(cell_image(0), crowd=crowd),
    )
    assert asked == [True]
    assert together.probabilities == pytest.approx(alone.probabilities, abs=1e-6)
    assert classifier.explain(cell_image(0), crowd=crowd).label == alone.label
    assert len(asked) > 10
    with pytest.raises(InvalidInputError):
        classifier.classify(b"not an image", crowd=crowd)


def test_bytes_that_are_no_image_are_the_callers_mistake(bundle: Path) -> None:
    """They raise the error that routes answer with 422."""
    with pytest.raises(InvalidInputError):
        Classifier(bundle).classify(b"not an image")


def test_the_evidence_is_for_the_class_that_is_answered(
    bundle: Path, cell_image: Callable[..., bytes]
) -> None:
    """The picture is of the crop, and not grey: some part of it matters."""
    classifier = Classifier(bundle)
    explained = classifier.explain(cell_image(0))
    assert explained.label == classifier.classify(cell_image(0)).label
    assert explained.picture.size == (384, 384)
    assert np.ptp(np.asarray(explained.picture).astype(int), axis=-1).max() > 40


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "contract.json", "golden/0.jpeg"])
def test_a_changed_file_is_refused(bundle: Path, name: str) -> None:
    """One flipped byte in any file is found before that file is used."""
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match="does not match its manifest"):
        Classifier(bundle)


def test_missing_and_unlisted_files_are_refused(bundle: Path) -> None:
    """The folder holds the manifest's files and no other."""
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
    """Valid hashes do not help a model that answers differently from what training saw."""
    first = tmp_path / "first"
    stage.publish(first)
    expected = json.loads((first / "golden/golden.json").read_text())
    for example in expected:
        example["probabilities"] = example["probabilities"][::-1]
    (first / "golden/golden.json").write_text(json.dumps(expected))
    forged = stage.artifacts.publish(first, stage.publish(tmp_path / "other", 1).manifest)
    folder = stage.artifacts.fetch(forged, tmp_path / "forged")
    with pytest.raises(ArtifactError, match="answered differently"):
        Classifier(folder)


def test_every_reason_for_a_review_is_put_into_words(bundle: Path) -> None:
    """An empty grey photograph has no nucleus and no sure answer, and both are said."""
    grey = io.BytesIO()
    Image.new("L", (100, 80), 205).save(grey, "PNG")
    prediction = Classifier(bundle).classify(grey.getvalue())
    assert prediction.decision == "review"
    messages = {reason.code: reason.message for reason in prediction.reasons}
    assert messages.keys() == {"no_cell_found", "low_confidence"}
    assert "below 80.0%" in messages["low_confidence"]


def test_an_image_unlike_the_training_images_is_for_a_person(
    stage: Any, tmp_path: Path, cell_image: Callable[..., bytes]
) -> None:
    """However sure the answer is, and the answer says how far away the image is."""
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
    assert "2.0 times as far" in prediction.reasons[-1].message


def test_a_bundle_that_does_not_say_when_to_ask_is_refused(stage: Any, tmp_path: Path) -> None:
    """Valid hashes do not replace a review rule."""
    built = tmp_path / "built"
    manifest = stage.publish(built).manifest
    (built / "review.json").unlink()
    served = stage.artifacts.publish(built, manifest)
    with pytest.raises(ArtifactError, match="when a person should look"):
        Classifier(stage.artifacts.fetch(served, tmp_path / "fetched"))


def test_check_reports_as_json_in_a_process_without_bentoml(bundle: Path) -> None:
    """The gate's question is answered with figures and 0, or with an error and 1."""
    good = _check(bundle)
    assert good.returncode == 0
    findings = json.loads(good.stdout)
    assert findings["ok"]
    assert findings.keys() >= {
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
