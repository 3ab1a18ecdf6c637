"""The service's command: what keeps it from beginning, and what ends it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.service.asking import answers, supervisor_of, wait_for, worker_of

pytestmark = pytest.mark.integration


def start(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the service's command until it ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "bento_service", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("port", ["70000", "http", "-1"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    """The command says what it expected and what it received."""
    done = start(f"--port={port}")
    assert done.returncode == 2
    assert f"expected a number up to 65535, received {port}" in done.stderr


@pytest.mark.slow
def test_a_broken_baked_in_bundle_ends_the_process(
    tmp_path: Path, make_stage: Callable[[Path], Any]
) -> None:
    """It says once what is wrong, and leaves another attempt to whoever started it."""
    stage = make_stage(tmp_path / "origin")
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    (bundle / "model.xml").write_text("<net/>")
    home = {"LEUKOFLOW_HOME": str(tmp_path / "home"), "STORE_URI": str(tmp_path / "store")}
    done = start("--port=0", BUNDLE_DIR=str(bundle), **home)
    assert done.returncode == 3
    assert "model.xml does not match its manifest" in done.stderr
    assert done.stderr.count("Application startup failed") == 1


@pytest.mark.slow
def test_a_setting_that_is_none_ends_the_process(tmp_path: Path) -> None:
    """It names the setting, and does not try for ever."""
    done = start("--port=0", LEUKOFLOW_HOME=str(tmp_path), DRAIN_SECONDS="99")
    assert done.returncode == 1
    assert done.stderr.count("drain_seconds") == 1


def test_an_address_that_is_taken_is_named() -> None:
    """The command ends before it starts a worker."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = start(f"--port={port}")
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP])
def test_a_closed_terminal_ends_it_like_any_other_end(
    sign: signal.Signals,
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """The worker is told to end, and no other one is started."""
    with serve(tmp_path, make_stage(tmp_path / "store").root) as url:
        wait_for(lambda: answers(f"{url}/livez"))
        supervisor, worker = supervisor_of(url), worker_of(url)
        supervisor.send_signal(sign)
        supervisor.wait(30)
        assert not worker.is_running()
