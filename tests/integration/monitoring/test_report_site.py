"""The report site as a process: its connections have the limits of the service's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.embedded.ports import free_block
from tests.integration.service.asking import answers
from tests.integration.sockets import connect, is_open, receive_response
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A site of an empty store with short timeouts."""
    port = free_block(1)
    limits = {"KEEP_ALIVE_SECONDS": "2", "HEADER_TIMEOUT_SECONDS": "2", "MAX_CONNECTIONS": "350"}
    environment = {**os.environ, **limits, "STORE_URI": str(tmp_path / "store")}
    command = [sys.executable, "-m", "monitoring.reports.server", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/healthz"))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.field("half_headers")
def test_half_open_connections_are_closed(url: str) -> None:
    """300 of them disturb nobody, and idle ones are closed too."""
    half = [connect(url, b"GET / HTTP/1.1\r\nHost: ") for _ in range(300)]
    with connect(url, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") as idle:
        begun = time.monotonic()
        assert receive_response(idle).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - begun < 1
        assert is_open(idle)
        wait_for(lambda: not sum([is_open(connection) for connection in [*half, idle]]), 12)
    for connection in half:
        connection.close()
    assert answers(f"{url}/healthz")
