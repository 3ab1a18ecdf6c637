"""Single parts of the Procfile, started for a test."""

from pathlib import Path

import pytest

from pipeline.adapters.storage import S3Store
from pipeline.settings import Settings

pytestmark = pytest.mark.integration


def test_mlflow_keeps_artefacts_in_s3(
    mlflow_server: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that a client logs over HTTP is an object in the bucket; the client has no S3 key."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    from mlflow import MlflowClient  # takes seconds to import

    client = MlflowClient(mlflow_server.mlflow_tracking_uri)
    run = client.create_run(client.create_experiment("kept"))
    (tmp_path / "note.txt").write_text("cells")
    client.log_artifact(run.info.run_id, str(tmp_path / "note.txt"))
    found = [entry.uri for entry in S3Store(mlflow_server).list("s3://leukoflow/mlflow/")]
    assert any(uri.endswith(f"{run.info.run_id}/artifacts/note.txt") for uri in found)
