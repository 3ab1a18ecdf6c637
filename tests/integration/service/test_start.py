"""`python -m bento_service`: failed starts and signals."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.service.asking import answers, supervisor_of, worker_of
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.integration


def start(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it exits by itself."""
    return subprocess.run(
        [sys.executable, "-m", "bento_service", *words],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("port", ["70000", "http", "-1"])
def test_an_invalid_port_is_reported(port: str) -> None:
    """With the expected and the received value."""
    done = start(f"--port={port}")
    assert done.returncode == 2
    assert f"expected a number up to 65535, received {port}" in done.stderr


@pytest.mark.slow
def test_a_broken_baked_in_bundle_fails_the_start(
    tmp_path: Path, make_stage: Callable[[Path], Any]
) -> None:
    """The error is reported once, and the supervisor does not restart the worker."""
    stage = make_stage(tmp_path / "origin")
    bundle = stage.artifacts.fetch(stage.publish(tmp_path / "built"), tmp_path / "bundle")
    (bundle / "model.xml").write_text("<net/>")
    home = {"LEUKOFLOW_HOME": str(tmp_path / "home"), "STORE_URI": str(tmp_path / "store")}
    done = start("--port=0", BUNDLE_DIR=str(bundle), **home)
    assert done.returncode == 3
    assert "model.xml does not match its manifest" in done.stderr
    assert done.stderr.count("Application startup failed") == 1


@pytest.mark.slow
def test_an_invalid_setting_fails_the_start(tmp_path: Path) -> None:
    """The setting is named once, and the supervisor does not restart the worker."""
    done = start("--port=0", LEUKOFLOW_HOME=str(tmp_path), DRAIN_SECONDS="99")
    assert done.returncode == 3
    assert done.stderr.count("invalid value for DRAIN_SECONDS") == 1


def test_a_home_that_cannot_be_written_fails_the_start_in_one_line() -> None:
    """The path and the variable are named, without a traceback; the worker is not restarted."""
    done = start("--port=0", LEUKOFLOW_HOME="/sys/none", STORE_URI="/sys/none/store")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("the service failed to start: /sys/none cannot be read or written")
    assert "LEUKOFLOW_HOME" in line


@pytest.mark.slow
@pytest.mark.field("secret_line_end")
def test_a_secret_that_no_client_can_send_fails_the_start(tmp_path: Path) -> None:
    """The setting is named once, and its value is not in the output."""
    done = start("--port=0", LEUKOFLOW_HOME=str(tmp_path), TRAIN_API_KEY="open\nsesame")
    assert done.returncode == 3
    assert done.stderr.count("invalid value for TRAIN_API_KEY") == 1
    assert "sesame" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.field("secret_line_end")
def test_a_secret_with_a_line_end_is_accepted(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """As Kubernetes mounts it: the key without the line end is valid, another one is not."""
    stage = make_stage(tmp_path / "store")
    with serve(tmp_path, stage.root, TRAIN_API_KEY="\ufeffsesame\r\n") as url:
        statuses = [
            httpx.post(
                f"{url}/train", json={"reason": "a test"}, headers={"X-API-Key": key}
            ).status_code
            for key in ("sesame", "other")
        ]
    assert statuses == [503, 401]  # 503: there is no Airflow


def test_a_used_port_is_reported() -> None:
    """The command exits before it starts a worker."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = start(f"--port={port}")
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGHUP])
def test_sigint_and_sighup_stop_it_like_sigterm(
    sign: signal.Signals,
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """The worker is terminated and not restarted."""
    with serve(tmp_path, make_stage(tmp_path / "store").root) as url:
        wait_for(lambda: answers(f"{url}/livez"))
        supervisor, worker = supervisor_of(url), worker_of(url)
        supervisor.send_signal(sign)
        supervisor.wait(30)
        assert not worker.is_running()
