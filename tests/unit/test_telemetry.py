"""Environment variables of a process: telemetry is off, and defaults give way."""

import os

import pytest

from pipeline.telemetry import MLFLOW_CLIENT, TELEMETRY_OFF, configure_process


def test_telemetry_is_off_and_other_variables_keep_their_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A switch overrides the environment; a default does not."""
    for name in (*TELEMETRY_OFF, *MLFLOW_CLIENT, "PILLOW_BLOCK_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "99")
    configure_process(PILLOW_BLOCK_SIZE="64m")
    expected = {**MLFLOW_CLIENT, **TELEMETRY_OFF, "PILLOW_BLOCK_SIZE": "64m"}
    assert expected.items() - os.environ.items() == {("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")}
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99"
