"""Ports are derived from the addresses in the settings."""

import pytest

from pipeline.embedded import ports
from pipeline.embedded.parts import PARTS
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

SETTINGS = Settings(
    aws_endpoint_url_s3="http://127.0.0.1:8333",
    mlflow_tracking_uri="http://127.0.0.1:5000",
    airflow_url="http://127.0.0.1:8080",
    service_url="http://127.0.0.1:3000",
    reports_url="http://127.0.0.1:8001",
)


def test_no_port_is_used_twice() -> None:
    """No two servers have the same port."""
    numbers = [n for part in PARTS for n in ports.variables(part, SETTINGS).values()]
    assert len(numbers) == len(set(numbers))
    assert {8080, 5000, 8333, 3000, 8001} <= set(numbers)


def test_inner_ports_of_seaweedfs_move_with_s3() -> None:
    """One setting moves all servers of SeaweedFS."""
    moved = SETTINGS.model_copy(update={"aws_endpoint_url_s3": "http://127.0.0.1:20000"})
    numbers = list(ports.variables(PARTS[0], moved).values())
    assert numbers == list(range(20000, 20000 + len(ports.SEAWEEDFS_SERVERS)))


def test_taken_port_is_reported_in_one_line() -> None:
    """The message names the part, the port, the process and the variable that moves the part."""
    listeners = {5000: "pid 42 (nginx)"}
    with pytest.raises(UnreachableError) as caught:
        ports.require_free(PARTS, SETTINGS, lambda number: listeners.get(number, ""))
    assert str(caught.value) == (
        "port 5000 of MLflow is taken by pid 42 (nginx); "
        "stop it, or move MLflow with MLFLOW_TRACKING_URI"
    )


def test_free_ports_pass() -> None:
    """No error when no process listens."""
    ports.require_free(PARTS, SETTINGS, lambda _: "")


def test_a_port_above_65535_is_invalid() -> None:
    """SeaweedFS's ten ports must fit above the S3 port; the error names the variable."""
    high = SETTINGS.model_copy(update={"aws_endpoint_url_s3": "http://127.0.0.1:65530"})
    with pytest.raises(InvalidInputError, match="AWS_ENDPOINT_URL_S3 with ports up to 65535"):
        ports.require_free(PARTS, high, lambda _: "")
