"""The end of a training run in Airflow, at any stage."""

import logging
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import RefusedArchive, SnapshotManifest
from pipeline.entrypoints import training
from pipeline.entrypoints.jobs import run_note
from pipeline.run_context import RunContext
from pipeline.settings import Settings


@pytest.mark.enable_socket
@pytest.mark.parametrize("config", [None, "configs/no_such.yaml"])
def test_a_run_without_a_config_is_closed(
    config: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It was cancelled before it read a config, or the file is missing: a note is still sent."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_URL", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        training.close_training(config, "blood_cell_training", "r", "failed", "cancelled")
    assert "the run's page has no note" in caplog.text


class FakeAirflow:
    """Airflow's client that only keeps the notes."""

    notes: list[str] = []  # noqa: RUF012 - of the class, because `training` makes the instance

    def __init__(self, settings: Settings) -> None:
        pass

    def note(self, dag_id: str, run_id: str, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)


@pytest.mark.enable_socket
@pytest.mark.field("broken_zip")
def test_the_note_of_a_run_names_skipped_archives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run: RunContext
) -> None:
    """With the reason; an unreadable snapshot leaves the note without."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setattr(run_note, "AirflowClient", FakeAirflow)
    monkeypatch.setattr(FakeAirflow, "notes", [])
    refused = RefusedArchive(uri="s3://b/archives/cells/broken.zip", etag="1", reason="no zip")
    manifest = SnapshotManifest(name="cells", archives=(), refused=(refused,), **run.model_dump())
    snapshot = ArtifactStore(LocalStore(), str(tmp_path / "store")).publish_texts({}, manifest)
    for uri in (snapshot.uri, str(tmp_path / "absent"), ""):
        training.close_training(None, "dag", "r", "unchanged", "the champion serves", uri)
    assert FakeAirflow.notes == [
        "unchanged: the champion serves. Skipped archives: broken.zip: no zip",
        "unchanged: the champion serves",
        "unchanged: the champion serves",
    ]
