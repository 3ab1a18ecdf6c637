"""The whole loop as a user runs it: `leukoflow demo` on its own stack."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import pytest
from rich.console import Console

from monitoring.drift.detect import read_reference, read_window
from monitoring.retraining.retrain_requests import RetrainRequestStore
from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    DriftManifest,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
    WindowManifest,
)
from pipeline.contract.golden_images import GOLDEN
from pipeline.contract.image_stats import image_stats
from pipeline.contract.preprocessing import prepare
from pipeline.dag_ids import TRAINING
from pipeline.demo.progress import follow
from pipeline.embedded import stack
from pipeline.embedded.processes.temporary_parts import on_free_ports
from pipeline.records import Record, from_csv
from pipeline.sample.cells import CLASSES
from pipeline.settings import Settings
from pipeline.steps.cells.locked_images import read_lock

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(3600)]

LIMIT = 16
"""Images per class in a training run: the minimum for a split."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of the stack that `leukoflow demo` starts; no password is in its logs."""
    home = tmp_path_factory.mktemp("loop") / "home"
    own = on_free_ports(home)
    try:
        yield own
    finally:
        stack.down(own)
    assert _passwords(own).isdisjoint(_words(home / "logs"))


def _demo(settings: Settings, *arguments: str) -> str:
    """Output of `leukoflow demo`, which must succeed."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", *arguments],
        env=os.environ | {"LEUKOFLOW_HOME": str(settings.leukoflow_home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=1700,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    Console().print(f"demo {' '.join(arguments)}: {time.monotonic() - start:.0f} s")
    return done.stdout


def test_from_an_archive_to_a_retrain_request(settings: Settings) -> None:
    """One command trains, promotes, predicts, tests two drift windows and requests a retrain."""
    output = _demo(settings)
    assert "make demo" in output
    assert "images of 12 unseen cells" in output
    _check(settings)
    _request_retrain(settings)
    states = stack.status(settings)
    assert {one.state for one in states} == {"healthy"}


@pytest.fixture(scope="module")
def photographs(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for the archives of the tests below, with a link to the real images."""
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "blood_cells.zip").symlink_to(test_data / "blood_cells.zip")
    return folder


# The README's commands in a new user's order, on the stack of the first demo; locked test images
# stay locked. Separate tests, because each takes minutes.
@pytest.mark.parametrize("images", [24, 14], ids=["an archive", "a smaller one of its name"])
def test_a_demo_with_an_archive(settings: Settings, photographs: Path, images: int) -> None:
    """After the drawn cells, and again after the archive was replaced."""
    before = _locked(settings)
    _write_archive(photographs, "cells.zip", slice(0, images))
    output = _demo(settings, "--data", str(photographs / "cells.zip"), "--limit", str(LIMIT))
    assert "held-out images" in output
    _require_still_locked(settings, before)


def test_an_archive_is_removed(settings: Settings, photographs: Path) -> None:
    """An upload starts one training on all archives; after its removal its images stay locked."""
    before, client = _locked(settings), AirflowClient(settings)
    known = {run.run_id for run in client.runs(TRAINING)}
    _write_archive(photographs, "second.zip", slice(24, 36))
    uri = f"{settings.store_uri}/archives/demo/second.zip"
    UriStore(settings).upload(photographs / "second.zip", uri)
    both = _parts(settings, follow(client, _next_run(client, known), Console(), timeout=900))
    _remove(settings, uri)
    one = _train_on_all(settings)
    assert both.keys() > one.keys()
    tested = {sha256 for sha256, part in both.items() if part == "test"}
    assert tested <= _require_still_locked(settings, before)


def test_back_to_the_first_archive(settings: Settings, photographs: Path) -> None:
    """With the drawn cells again every image has its first part, and no new image is locked."""
    before = _locked(settings)
    _demo(settings)
    assert _locked(settings) == before
    runs = _demos(settings)
    assert len(runs) == 4
    assert _parts(settings, runs[-1]) == _parts(settings, runs[0])


def _write_archive(folder: Path, name: str, chosen: slice) -> None:
    """Write a slice of the real images of each class, in order of name, to a zip."""
    source = folder / "blood_cells.zip"
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(folder / name, "w") as part:
        names = sorted(name for name in whole.namelist() if name.endswith(".jpeg"))
        for label in CLASSES:
            for name in [name for name in names if f"/{label}/" in name][chosen]:
                part.writestr(name, whole.read(name))


def _locked(settings: Settings) -> frozenset[str]:
    return read_lock("demo", ArtifactStore(UriStore(settings), settings.store_uri)).hashes


def _require_still_locked(settings: Settings, before: frozenset[str]) -> frozenset[str]:
    """Locked images now; all of `before` must be among them."""
    now = _locked(settings)
    assert before <= now
    return now


def _next_run(client: AirflowClient, known: set[str]) -> DagRun:
    """The one training run that the watcher starts within two minutes."""
    for _ in range(120):
        if started := [run for run in client.runs(TRAINING) if run.run_id not in known]:
            (run,) = started
            return run
        time.sleep(1)
    pytest.fail("no training run started")


def _train_on_all(settings: Settings) -> dict[str, str]:
    """Train on all archives of the bucket; returns each image's part."""
    client, start = AirflowClient(settings), time.monotonic()
    conf = {"config": "configs/demo.yaml", "limit": LIMIT, "reason": "a test"}
    done = follow(client, client.trigger(TRAINING, conf), Console(), timeout=900)
    Console().print(f"training on all archives: {time.monotonic() - start:.0f} s")
    return _parts(settings, done)


def _parts(settings: Settings, run: DagRun) -> dict[str, str]:
    """Part of each image (by SHA-256) in a training run."""
    store = ArtifactStore(UriStore(settings), settings.store_uri)
    uri = str(AirflowClient(settings).returned(TRAINING, run.run_id, "split"))
    return {r.sha256: r.part for r in store.records(store.open(uri, SplitManifest))}


def _demos(settings: Settings) -> list[DagRun]:
    """Training runs of `leukoflow demo`, oldest first."""
    runs = [run for run in AirflowClient(settings).runs(TRAINING) if run.state == "success"]
    return sorted(
        (run for run in runs if run.conf.get("reason") == "make demo"), key=lambda run: run.run_id
    )


def _remove(settings: Settings, uri: str) -> None:
    """Delete an object with an S3 client, as a user does."""
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    boto3.client(
        "s3",
        endpoint_url=settings.aws_endpoint_url_s3,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key.get_secret_value(),
        region_name="us-east-1",
    ).delete_object(Bucket=bucket, Key=key)


def _check(settings: Settings) -> None:
    store = ArtifactStore(UriStore(settings), settings.store_uri)
    pointer = PointerStore(store.objects, store.root, "demo").read()
    assert pointer is not None
    assert pointer.sequence == 1
    drifts = [
        store.open(item.uri.removesuffix("/manifest.json"), DriftManifest)
        for item in store.objects.list(f"{store.root}/drift/demo/")
        if item.uri.endswith("/manifest.json")
    ]
    verdicts = {json.loads(store.read(d, "drift.json"))["verdict"]: d for d in drifts}
    assert sorted(verdicts) == ["alarm", "quiet"]
    _check_unseen(store, verdicts["quiet"], pointer)
    decisions = [
        json.loads(store.objects.read(item.uri))
        for item in store.objects.list(f"{store.root}/retrain/demo/")
    ]
    assert any(decision.get("requested") for decision in decisions)
    request = RetrainRequestStore(store.objects, store.root, "demo").last()
    assert request is not None
    assert request.outcome.startswith("failed (retrain__demo__"), "the demo cancels its retrain"


def _check_unseen(store: ArtifactStore, drift: Artifact[DriftManifest], pointer: Pointer) -> None:
    """The images of the null window, recognised by their statistics, are of unseen cells."""
    window = store.open(drift.manifest.inputs["window"], WindowManifest)
    window_stats = {record.stats for record in read_window(store, window)}
    served = store.open(pointer.served, ServedManifest).manifest
    bundle = store.open(served.inputs["bundle"], BundleManifest)
    records = store.records(store.open(bundle.manifest.inputs["split"], SplitManifest))
    images = read_images(store, records)
    sent = [r for r, data in images if image_stats(prepare(data, served.contract)) in window_stats]
    assert len(sent) == len(window_stats) >= 30
    trained_on = from_csv(store.read(bundle, "training.csv").decode(), Record)
    reference = read_reference(store, store.open(pointer.evaluation, EvaluationManifest))
    golden = {Path(name).stem for name in bundle.manifest.files if name.startswith(f"{GOLDEN}/")}
    hashes, groups = {r.sha256 for r in sent}, {r.group for r in sent}
    assert hashes.isdisjoint(r.sha256 for r in trained_on)
    assert groups.isdisjoint(r.group for r in trained_on)
    assert groups.isdisjoint(r.group for r in reference)
    used = golden | {r.record.request_id for r in reference}
    assert used.isdisjoint(sha256[:16] for sha256 in hashes)
    assert len(used) > len(reference), "no golden images to compare with"


def _request_retrain(settings: Settings) -> None:
    """`POST /train` with the key starts a run in Airflow, which is cancelled at once."""
    key = {"X-API-Key": settings.train_api_key.get_secret_value()}
    response = httpx.post(f"{settings.service_url}/train", json={"reason": "a test"}, headers=key)
    assert response.status_code == httpx.codes.ACCEPTED, response.text
    client = AirflowClient(settings)
    started = client.run(TRAINING, response.json()["run_id"])
    assert started.conf["reason"] == "a test"
    assert response.json()["url"] == started.url
    client.cancel(TRAINING, started.run_id)


def _passwords(settings: Settings) -> set[str]:
    secrets = (settings.airflow_password, settings.train_api_key, settings.aws_secret_access_key)
    return {secret.get_secret_value() for secret in secrets}


def _words(folder: Path) -> set[str]:
    """All words in the logs, split at characters that no password has."""
    text = "\n".join(p.read_text(errors="replace") for p in folder.rglob("*") if p.is_file())
    for separator in "\"'=,:;()[]{}<>":
        text = text.replace(separator, " ")
    return set(text.split())
