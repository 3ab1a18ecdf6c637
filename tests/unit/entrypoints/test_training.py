"""The end of a training run in Airflow, at any stage."""

import logging
from pathlib import Path

import pytest

from pipeline.entrypoints import training


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
