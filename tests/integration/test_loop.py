"""The whole loop as a user runs it: `leukoflow demo` on a stack of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from monitoring.drift import read_reference, read_window
from monitoring.requests import RetrainRequests
from pipeline.adapters.airflow import AirflowClient
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
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
from pipeline.contract.golden import GOLDEN
from pipeline.contract.image_stats import image_stats
from pipeline.contract.preprocessing import prepare
from pipeline.embedded import stack
from pipeline.embedded.foreground import on_free_ports
from pipeline.records import Record, from_csv
from pipeline.settings import Settings
from pipeline.steps.images import read_images

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_from_an_archive_to_a_retrain_request(tmp_path: Path) -> None:
    """One command trains, promotes, serves, keeps quiet, alarms, and asks for a retrain."""
    settings = on_free_ports(tmp_path / "home")
    environment = os.environ | {"LEUKOFLOW_HOME": str(tmp_path / "home"), "COLUMNS": "200"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "demo"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=1700,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "make demo" in done.stdout
        assert "images of 12 cells that nothing was fitted to" in done.stdout
        _check(settings)
        _ask_for_a_retrain(settings)
        states = stack.status(settings)
        assert {one.state for one in states} == {"healthy"}
    finally:
        stack.down(settings)
    assert _passwords(settings).isdisjoint(_words(tmp_path / "home" / "logs"))


def _check(settings: Settings) -> None:
    store = ArtifactStore(UriStore(settings), settings.store_uri)
    pointer = Registry(store.objects, store.root, "demo").read()
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
    request = RetrainRequests(store.objects, store.root, "demo").last()
    assert request is not None
    assert request.outcome.startswith("failed (retrain__demo__"), "the demo cancels its retrain"


def _check_unseen(store: ArtifactStore, drift: Artifact[DriftManifest], pointer: Pointer) -> None:
    """The images of the null window, known by their statistics, are of cells nobody fitted to."""
    window = store.open(drift.manifest.inputs["window"], WindowManifest)
    shown = {record.stats for record in read_window(store, window)}
    served = store.open(pointer.served, ServedManifest).manifest
    bundle = store.open(served.inputs["bundle"], BundleManifest)
    records = store.records(store.open(bundle.manifest.inputs["split"], SplitManifest))
    images = read_images(store, records)
    sent = [r for r, data in images if image_stats(prepare(data, served.contract)) in shown]
    assert len(sent) == len(shown) >= 30
    learned = from_csv(store.read(bundle, "training.csv").decode(), Record)
    reference = read_reference(store, store.open(pointer.evaluation, EvaluationManifest))
    golden = {Path(name).stem for name in bundle.manifest.files if name.startswith(f"{GOLDEN}/")}
    hashes, groups = {r.sha256 for r in sent}, {r.group for r in sent}
    assert hashes.isdisjoint(r.sha256 for r in learned)
    assert groups.isdisjoint(r.group for r in learned)
    assert groups.isdisjoint(r.group for r in reference)
    used = golden | {r.record.request_id for r in reference}
    assert used.isdisjoint(sha256[:16] for sha256 in hashes)
    assert len(used) > len(reference), "no golden images were found to compare with"


def _ask_for_a_retrain(settings: Settings) -> None:
    """`POST /train` with the key starts a run in Airflow; it is ended at once."""
    key = {"X-API-Key": settings.train_api_key.get_secret_value()}
    asked = httpx.post(f"{settings.service_url}/train", json={"reason": "a test"}, headers=key)
    assert asked.status_code == httpx.codes.ACCEPTED, asked.text
    client = AirflowClient(settings)
    started = client.run("blood_cell_training", asked.json()["run_id"])
    assert started.conf["reason"] == "a test"
    assert asked.json()["url"] == started.url
    client.cancel("blood_cell_training", started.run_id)


def _passwords(settings: Settings) -> set[str]:
    secrets = (settings.airflow_password, settings.train_api_key, settings.aws_secret_access_key)
    return {secret.get_secret_value() for secret in secrets}


def _words(folder: Path) -> set[str]:
    """Everything in the logs, cut at what cannot be part of a password."""
    text = "\n".join(p.read_text(errors="replace") for p in folder.rglob("*") if p.is_file())
    for cut in "\"'=,:;()[]{}<>":
        text = text.replace(cut, " ")
    return set(text.split())
