"""Environment variables of a process: telemetry is off, and defaults give way."""

import os

import pytest

from pipeline.telemetry import (
    MLFLOW_CLIENT,
    TELEMETRY_OFF,
    configure_process,
    loopback_without_proxy,
)


def test_telemetry_is_off_and_other_variables_keep_their_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A switch overrides the environment; a default does not."""
    before = {"DO_NOT_TRACK": "false", "MLFLOW_HTTP_REQUEST_TIMEOUT": "99"}
    monkeypatch.setattr("os.environ", before)
    configure_process(PILLOW_BLOCK_SIZE="64m")
    defaults = {**MLFLOW_CLIENT, "PILLOW_BLOCK_SIZE": "64m"}
    assert os.environ == {**defaults, **TELEMETRY_OFF, "MLFLOW_HTTP_REQUEST_TIMEOUT": "99"}


@pytest.mark.field("socks_proxy")
@pytest.mark.parametrize(
    ("environment", "value"),
    [
        ({"HTTP_PROXY": "http://a"}, "127.0.0.1,localhost,::1"),
        ({"all_proxy": "http://a", "NO_PROXY": "lab"}, "127.0.0.1,localhost,::1,lab"),
        (
            {"https_proxy": "a", "NO_PROXY": "x, y", "no_proxy": "y,z,"},
            "127.0.0.1,localhost,::1,x,y,z",
        ),
        ({"HTTP_PROXY": "http://a", "no_proxy": "lab,*"}, "*"),
    ],
)
def test_loopback_bypasses_a_proxy(environment: dict[str, str], value: str) -> None:
    """In both variables, with the hosts of both: libraries read one of them."""
    assert loopback_without_proxy(environment) == {"NO_PROXY": value, "no_proxy": value}


def test_without_a_proxy_no_variable_is_set() -> None:
    """An empty one is none."""
    assert loopback_without_proxy({"HTTP_PROXY": "", "NO_PROXY": "lab"}) == {}


def test_this_process_requests_loopback_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's client reads NO_PROXY and has no other setting."""
    monkeypatch.setattr("os.environ", {"HTTP_PROXY": "http://127.0.0.1:9"})
    configure_process()
    assert "127.0.0.1" in os.environ["NO_PROXY"]
