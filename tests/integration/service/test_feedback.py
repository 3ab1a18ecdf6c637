"""Feedback from a real service to the dataset."""

import io
import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import psutil
import pytest
from PIL import Image

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config.run_config import RunConfig
from pipeline.contract.feedback_log import FeedbackRecord
from pipeline.run_context import RunContext
from pipeline.steps.dataset.ingest import ingest
from tests.integration.service.asking import answers
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SECRET = "Jane-Doe-1971"
Serve = Callable[..., AbstractContextManager[str]]
CLASSES = ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")


def with_metadata(image: bytes) -> bytes:
    """The image with a name in its EXIF and comment."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    out = io.BytesIO()
    Image.open(io.BytesIO(image)).save(out, "JPEG", quality=95, exif=exif, comment=SECRET.encode())
    return out.getvalue()


def classify(url: str, image: bytes) -> str:
    """Classify a file with personal metadata; returns the request id."""
    response = httpx.post(
        f"{url}/classify", files={"image": (f"{SECRET}.jpeg", with_metadata(image))}
    )
    return str(response.raise_for_status().json()["request_id"])


def send_label(url: str, request_id: str, label: str, reviewer: str = "Dr. Ada") -> httpx.Response:
    """POST a label to /feedback."""
    body = {"request_id": request_id, "label": label, "reviewer": reviewer}
    return httpx.post(f"{url}/feedback", json=body)


def lines(root: Path, kind: str) -> list[dict[str, Any]]:
    """Every log line of one kind in the store."""
    files = sorted((root / kind / "blood_cells").rglob("*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def gather(root: Path, folder: Path, min_labels: int) -> dict[str, Any]:
    """`leukoflow gather --json`."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "gather", "--min", str(min_labels), "--json"],
        env={**os.environ, "STORE_URI": str(root), "LEUKOFLOW_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


@pytest.fixture
def stage(tmp_path: Path, make_stage: Callable[[Path], Any]) -> Iterator[Any]:
    """A store with a promoted model; asserts at the end that no file contains the name."""
    made = make_stage(tmp_path / "store")
    made.point_to(made.publish(tmp_path / "built"))
    yield made
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_returned_labels_enter_the_next_dataset(
    stage: Any, tmp_path: Path, serve: Serve, cell_image: Callable[..., bytes]
) -> None:
    """Six images by two routes and six labels become one archive with these labels."""
    with serve(tmp_path, stage.root, KEEP_IMAGES="true") as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        assert "/feedback" in httpx.get(f"{url}/docs.json", timeout=30).json()["paths"]
        ids = [classify(url, cell_image(0, shift=n)) for n in range(4)]
        files = [("images", (SECRET, with_metadata(cell_image(1, shift=n)))) for n in range(2)]
        many = httpx.post(f"{url}/differential", files=files, timeout=60).json()
        ids += [f"{many['request_id']}.{n}" for n in range(2)]
        for number, request_id in enumerate(ids):
            response = send_label(url, request_id, CLASSES[number % 4])
            assert response.status_code == 202, response.text
            assert response.json()["enters_dataset"] is True
            assert response.json()["request_id"] == request_id
        assert (
            send_label(url, ids[0], CLASSES[3]).status_code == 202
        )  # a correction of the first label
        assert send_label(url, "never-answered", CLASSES[3]).status_code == 202
        wait_for(lambda: len(lines(stage.root, "feedback")) == 8)
        wait_for(lambda: len(lines(stage.root, "logs")) == 6)
    counts = gather(stage.root, tmp_path, min_labels=6)
    assert (counts["labels"], counts["unknown"], counts["gathered"]) == (6, 1, 6)
    store = ArtifactStore(LocalStore(), str(stage.root))
    snapshot = ingest(
        [], RunConfig(contract=stage.contract), store=store, run=RunContext.now("test", "test")
    )
    expected = {ids[0]: CLASSES[3], **{name: CLASSES[n % 4] for n, name in enumerate(ids) if n}}
    images = {line["request_id"]: line["image"] for line in lines(stage.root, "logs")}
    assert {(record.sha256, record.label) for record in store.records(snapshot)} == {
        (images[name], label) for name, label in expected.items()
    }
    assert gather(stage.root, tmp_path, min_labels=6)["archive"] == ""
    assert "Dr. Ada" not in json.dumps(lines(stage.root, "logs"))


def test_without_kept_images_a_label_is_only_counted(
    stage: Any, tmp_path: Path, serve: Serve, cell_image: Callable[..., bytes]
) -> None:
    """The response explains it; an unknown label is rejected with the known classes."""
    with serve(tmp_path, stage.root) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        request_id = classify(url, cell_image(2))
        response = send_label(url, request_id, "MONOCYTE")
        assert (response.status_code, response.json()["enters_dataset"]) == (202, False)
        assert "KEEP_IMAGES" in response.json()["message"]
        unknown = send_label(url, request_id, "BASOPHIL")
        assert unknown.status_code == 422
        assert unknown.json()["error"]["expected"] == ", ".join(CLASSES)
        refused = [
            send_label(url, "../../etc", "MONOCYTE"),
            send_label(url, request_id, "MONOCYTE", reviewer="x" * 81),
            send_label(url, request_id, "MONOCYTE", reviewer=" "),
            send_label(url, request_id, "MONOCYTE", reviewer="line\nbreak"),
            httpx.post(f"{url}/feedback", json={"request_id": request_id}),
        ]
        assert [answer.status_code for answer in refused] == [422] * 5
        assert httpx.post(f"{url}/feedback", content=b"{}").status_code == 415
        wait_for(lambda: lines(stage.root, "feedback") and lines(stage.root, "logs"))
        metrics = httpx.get(f"{url}/metrics").text
        assert 'route="/feedback",status="202"' in metrics
    (line,) = lines(stage.root, "feedback")
    assert FeedbackRecord.model_validate(line).label == "MONOCYTE"
    counts = gather(stage.root, tmp_path, min_labels=1)
    assert (counts["labels"], counts["agreeing"], counts["not_kept"]) == (1, 1, 1)
    assert counts["archive"] == ""
    assert not list(stage.root.rglob("*.png"))


def test_a_killed_worker_loses_no_logged_data(
    stage: Any, tmp_path: Path, serve: Serve, cell_image: Callable[..., bytes]
) -> None:
    """Killed between response and upload: the next start uploads label, record and image."""
    quiet = {"KEEP_IMAGES": "true", "LOG_SEGMENT_SECONDS": "600"}
    before = set(psutil.Process().children(recursive=True))
    with serve(tmp_path, stage.root, **quiet) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        request_id = classify(url, cell_image(3))
        assert send_label(url, request_id, "NEUTROPHIL").status_code == 202
        assert not lines(stage.root, "logs")
        for process in set(psutil.Process().children(recursive=True)) - before:
            process.kill()
    with serve(tmp_path, stage.root, KEEP_IMAGES="true"):
        wait_for(lambda: lines(stage.root, "logs") and lines(stage.root, "feedback"))
    counts = gather(stage.root, tmp_path, min_labels=1)
    assert (counts["labels"], counts["gathered"]) == (1, 1)


HOSTILE = ('<b onload="x">a/b</b>', "=cmd|' /C calc'!A0", "😀 Linfócito", "x" * 100)


@pytest.mark.field("decomposed_names")
def test_classes_of_any_name_are_served_and_returned_in_any_spelling(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Serve,
    cell_image: Callable[..., bytes],
) -> None:
    """In every route; a label is stored as the model spells it, and a near miss is proposed."""
    plain = make_stage(tmp_path / "store")
    stage = replace(plain, contract=plain.contract.model_copy(update={"classes": HOSTILE}))
    stage.point_to(stage.publish(tmp_path / "built"))
    with serve(tmp_path, stage.root) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        request_id = classify(url, cell_image(2))
        files = [("images", ("a.jpg", cell_image(kind, shift=4))) for kind in range(4)]
        many = httpx.post(f"{url}/differential", files=files, timeout=60).json()
        assert [row["label"] for row in many["shares"]] == list(HOSTILE)
        explained = httpx.post(f"{url}/explain", files={"image": cell_image(2)}, timeout=60)
        assert unquote(explained.headers["x-label"]) in HOSTILE
        assert tuple(httpx.get(f"{url}/model").json()["contract"]["classes"]) == HOSTILE
        assert httpx.get(f"{url}/docs.json", timeout=30).status_code == 200
        for spelling in (HOSTILE[2], unicodedata.normalize("NFD", " 😀_linfócito ").upper()):
            assert send_label(url, request_id, spelling).json()["label"] == HOSTILE[2]
        near = send_label(url, request_id, "😀 Linfocitos").json()["error"]
        assert near["message"].endswith("did you mean 😀 Linfócito?")
        wait_for(lambda: len(lines(stage.root, "feedback")) == 2)
        assert '😀 Linfócito"' in httpx.get(f"{url}/metrics").text
    assert {line["label"] for line in lines(stage.root, "feedback")} == {HOSTILE[2]}
