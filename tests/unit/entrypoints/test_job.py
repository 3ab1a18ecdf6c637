"""Where an entry point finds its stores."""

from pathlib import Path

from bento_service.prediction_log.writer import PredictionLog
from pipeline.adapters.storage import LocalStore
from pipeline.entrypoints.jobs.job import local_store
from pipeline.settings import Settings


def test_the_service_never_deletes_downloaded_weights(tmp_path: Path) -> None:
    """The service deletes the oldest files of its log folders; the local store is in none."""
    settings = Settings(
        leukoflow_home=tmp_path / "home", store_uri=str(tmp_path / "store"), keep_images=True
    )
    log = PredictionLog(settings, LocalStore(), "cells")
    log_folders = {path.name for path in (tmp_path / "home").iterdir()}
    log.close()
    assert log_folders
    assert Path(local_store(settings).root).name not in log_folders
