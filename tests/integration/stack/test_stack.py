"""A small real stack, SeaweedFS and a web server: start, status, failures, stop."""

import io
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from pipeline.adapters.storage import S3Store
from pipeline.embedded import stack
from pipeline.embedded.parts import commands
from pipeline.embedded.processes import discovery
from pipeline.embedded.processes.temporary_parts import on_free_ports
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import STACK_ENV_FILE, Settings

_DATA = b"cells" * 100_000  # too large for SeaweedFS to keep inline with the name

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Settings of a stack on free ports; it is stopped after the test."""
    prepared = on_free_ports(tmp_path / "home")
    yield prepared
    stack.down(prepared)


@pytest.fixture
def procfile(tmp_path: Path) -> Path:
    """The real line of SeaweedFS, and a web server that starts a child in its own session."""
    path = tmp_path / "Procfile"
    path.write_text(
        f"s3: {commands()['s3']}\n"
        "reports: sh -c 'setsid sleep 1000 & exec python -m http.server "
        "--bind 127.0.0.1 $REPORTS_PORT'\n"
    )
    return path


def _up(settings: Settings, procfile: Path) -> tuple[Settings, str]:
    output = io.StringIO()
    complete = stack.up(settings, Console(file=output, width=120), procfile=procfile)
    return complete, output.getvalue()


def _pid(settings: Settings, part: str) -> int:
    found = discovery.stack_processes(settings.leukoflow_home)
    return next(process.pid for process, name in found if name == part)


def _all_stopped(settings: Settings, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not list(discovery.stack_processes(settings.leukoflow_home)):
            return True
        time.sleep(0.2)
    return False


def test_data_survives_down_and_up(settings: Settings, procfile: Path) -> None:
    """The second start has the objects and passwords of the first."""
    first, output = _up(settings, procfile)
    assert "S3 (SeaweedFS) is up" in output
    assert "healthy" in output
    S3Store(first).write("s3://leukoflow/kept", _DATA)
    assert stack.down(first) >= 3
    assert not list(discovery.stack_processes(settings.leukoflow_home))
    second, _ = _up(settings, procfile)
    assert S3Store(second).read("s3://leukoflow/kept") == _DATA


def test_secrets_are_printed_nowhere(settings: Settings, procfile: Path) -> None:
    """Neither the console nor a log has a generated password."""
    complete, output = _up(settings, procfile)
    logs = "".join(path.read_text() for path in (complete.leukoflow_home / "logs").iterdir())
    for secret in (complete.aws_secret_access_key, complete.airflow_password):
        assert secret.get_secret_value()
        assert secret.get_secret_value() not in output + logs


def test_up_twice_says_so(settings: Settings, procfile: Path) -> None:
    """A stack that is up keeps its processes."""
    _up(settings, procfile)
    before = _pid(settings, "s3")
    _, output = _up(settings, procfile)
    assert "already up" in output
    assert _pid(settings, "s3") == before


@pytest.mark.parametrize("change", [{"store_uri": "s3://other"}, {"model_name": "other"}])
def test_a_running_stack_is_not_moved(
    settings: Settings, procfile: Path, change: dict[str, str]
) -> None:
    """Another store or model is refused while the stack is up; stack.env is unchanged."""
    complete, _ = _up(settings, procfile)
    before = (complete.leukoflow_home / STACK_ENV_FILE).read_text()
    with pytest.raises(InvalidInputError, match="stop it first"):
        _up(complete.model_copy(update=change), procfile)
    assert (complete.leukoflow_home / STACK_ENV_FILE).read_text() == before


def test_only_loopback_is_opened(settings: Settings, procfile: Path) -> None:
    """No process of the stack listens beyond 127.0.0.1."""
    _up(settings, procfile)
    addresses = [
        connection.laddr[0]
        for process, _ in discovery.stack_processes(settings.leukoflow_home)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    ]
    assert len(addresses) >= 8
    assert set(addresses) == {"127.0.0.1"}


def test_killed_part_stops_the_stack(settings: Settings, procfile: Path) -> None:
    """After kill -9 of one part no process is left, and one line names the part and its log."""
    _up(settings, procfile)
    os.kill(_pid(settings, "s3"), signal.SIGKILL)
    assert _all_stopped(settings)
    assert {one.state for one in stack.status(settings, procfile=procfile)} == {"down"}
    log = settings.leukoflow_home / "logs" / "s3.log"
    assert stack.failure(settings) == f"s3 stopped with code -9; see {log}"


def test_down_finds_the_orphans_of_a_killed_supervisor(settings: Settings, procfile: Path) -> None:
    """Orphans are found by their environment variable and stopped."""
    _up(settings, procfile)
    supervisor = stack.find_supervisor(settings.leukoflow_home)
    assert supervisor is not None
    supervisor.kill()
    supervisor.wait(5)
    assert stack.down(settings) > 0
    assert not list(discovery.stack_processes(settings.leukoflow_home))


def test_part_that_cannot_start_is_named(settings: Settings, procfile: Path) -> None:
    """A part that ends during the start is named with its log; the others are stopped."""
    procfile.write_text(procfile.read_text().splitlines()[0] + "\nreports: sh -c 'exit 7'\n")
    with pytest.raises(UnreachableError, match=r"reports stopped with code 7; see .*reports\.log"):
        _up(settings, procfile)
    assert not list(discovery.stack_processes(settings.leukoflow_home))


def test_taken_port_starts_nothing(settings: Settings, procfile: Path) -> None:
    """The error names the part, the port and the process that listens there."""
    port = int(settings.reports_url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        expected = re.escape(f"port {port} of Reports is taken by pid {os.getpid()} ")
        with pytest.raises(UnreachableError, match=expected):
            _up(settings, procfile)
    assert not list(discovery.stack_processes(settings.leukoflow_home))
