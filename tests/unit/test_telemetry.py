"""Environment variables of a process: telemetry is off, and defaults give way."""

import os

import pytest

from pipeline.telemetry import MLFLOW_CLIENT, TELEMETRY_OFF, configure_process


def test_telemetry_is_off_and_other_variables_keep_their_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A switch overrides the environment; a default does not."""
    before = {"DO_NOT_TRACK": "false", "MLFLOW_HTTP_REQUEST_TIMEOUT": "99"}
    monkeypatch.setattr("os.environ", before)
    configure_process(PILLOW_BLOCK_SIZE="64m")
    defaults = {**MLFLOW_CLIENT, "PILLOW_BLOCK_SIZE": "64m"}
    assert os.environ == {**defaults, **TELEMETRY_OFF, "MLFLOW_HTTP_REQUEST_TIMEOUT": "99"}
