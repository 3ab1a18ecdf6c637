"""Connections to a real service: keep-alive, incomplete headers, their number, stalled readers."""

import contextlib
import json
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.integration.service.asking import answers, supervisor_of, worker_of
from tests.integration.sockets import connect, is_open, receive, receive_response
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HEADER_TIMEOUT_S = 3
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: "
Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture(scope="module")
def url(
    tmp_path_factory: pytest.TempPathFactory, make_stage: Callable[[Path], Any], serve: Serve
) -> Iterator[str]:
    """A service with a model, a short header timeout and at most 400 connections."""
    folder = tmp_path_factory.mktemp("connections")
    stage = make_stage(folder / "store")
    stage.point_to(stage.publish(folder / "first"))
    limits = {"HEADER_TIMEOUT_SECONDS": str(HEADER_TIMEOUT_S), "MAX_CONNECTIONS": "400"}
    with serve(folder, stage.root, **limits) as served:
        wait_for(lambda: answers(f"{served}/readyz"))
        yield served


def number_open(connections: list[socket.socket]) -> int:
    """Number of connections that the server has not closed."""
    return sum([is_open(connection) for connection in connections])


def readable(connections: list[socket.socket]) -> list[socket.socket]:
    """Connections on which the server has sent something."""
    return select.select(connections, [], [], 0)[0]


def seconds_open(connection: socket.socket) -> float:
    """Time until the server closes the connection, at most 30 s."""
    begun = time.monotonic()
    connection.settimeout(30)
    while receive(connection):
        pass
    return time.monotonic() - begun


@pytest.mark.field("keep_alive")
def test_an_idle_connection_takes_a_second_request(url: str) -> None:
    """After 6 s, as behind a load balancer; Uvicorn's own timeout is 5 s."""
    with connect(url, LIVEZ) as connection:
        assert receive_response(connection).startswith(b"HTTP/1.1 200")
        time.sleep(6)
        connection.sendall(LIVEZ)
        assert receive_response(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.field("keep_alive")
@pytest.mark.parametrize("command", ["bento_service", "bentoml serve"])
def test_the_keep_alive_is_set(
    tmp_path: Path, make_stage: Callable[[Path], Any], serve: Serve, command: str
) -> None:
    """Both ways to start the service close an idle connection after KEEP_ALIVE_SECONDS."""
    stage = make_stage(tmp_path / "store")
    words = {
        "bento_service": ("bento_service",),
        "bentoml serve": ("bentoml", "serve", "bento_service.service:Service"),
    }[command]
    settings = {"KEEP_ALIVE_SECONDS": "1", "HEADER_TIMEOUT_SECONDS": "4"}
    with serve(tmp_path, stage.root, words, **settings) as served:
        with connect(served, LIVEZ) as connection:
            assert receive_response(connection).startswith(b"HTTP/1.1 200")
            assert 0.8 < seconds_open(connection) < 3
        with connect(served, HALF) as connection:
            assert 3.5 < seconds_open(connection) < 8


@pytest.mark.field("half_headers")
def test_half_open_connections_do_not_disturb_others(url: str) -> None:
    """300 half headers: other requests are answered at once, and all 300 are closed in time."""
    begun = time.monotonic()
    with ExitStack() as stack:
        half = [stack.enter_context(connect(url, HALF)) for _ in range(300)]
        times = []
        with httpx.Client(base_url=url) as client:
            for _ in range(100):
                started = time.perf_counter()
                assert client.get("/livez").status_code == 200
                times.append(time.perf_counter() - started)
        assert statistics.quantiles(times, n=100)[98] < 1
        assert number_open(half) == 300
        wait_for(lambda: not number_open(half), 20)
    assert HEADER_TIMEOUT_S - 1 < time.monotonic() - begun < HEADER_TIMEOUT_S + 8


def trickle(connection: socket.socket) -> float:
    """Send a byte of a header every 0.2 s; returns the seconds until the server closes."""
    begun = time.monotonic()
    connection.settimeout(0.2)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - begun < 30:
            connection.sendall(b"a")
            try:
                while receive(connection):
                    pass
                break
            except TimeoutError:
                continue
    return time.monotonic() - begun


@pytest.mark.field("half_headers")
@pytest.mark.parametrize(
    "first",
    [b"", b"\r\n", b"GET", HALF, LIVEZ + b"GET /li", LIVEZ + b"\r\n"],
    ids=["nothing", "blank line", "half line", "half header", "second request", "blank second"],
)
def test_an_incomplete_header_is_closed(url: str, first: bytes) -> None:
    """Wherever it stops, in the first request of a connection or a later one."""
    with connect(url) as connection:
        for request in [part for part in (first[: len(LIVEZ)], first[len(LIVEZ) :]) if part]:
            connection.sendall(request)
            if request == LIVEZ:
                assert receive_response(connection).startswith(b"HTTP/1.1 200")
        assert HEADER_TIMEOUT_S - 1 < seconds_open(connection) < HEADER_TIMEOUT_S + 4


@pytest.mark.field("half_headers")
def test_a_trickled_header_is_closed(url: str) -> None:
    """The timeout is for the whole header, not for the time between two bytes."""
    with connect(url, HALF) as connection:
        assert trickle(connection) < HEADER_TIMEOUT_S + 4


def test_an_incomplete_header_gets_a_408(url: str) -> None:
    """In the format of all errors."""
    with connect(url, HALF) as connection:
        head, _, body = receive_response(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout")
    assert json.loads(body)["error"] == {
        "code": "header_timeout",
        "message": "the header did not arrive in time",
        "expected": f"the complete header within {HEADER_TIMEOUT_S} seconds",
        "received": "",
        "request_id": "",
    }


def test_an_endless_header_is_refused(url: str) -> None:
    """431 after 64 KB, not after the memory is full."""
    memory = worker_of(url).memory_info().rss
    with connect(url, HALF) as connection, contextlib.suppress(ConnectionError):
        for _ in range(400):
            connection.sendall(b"x" * 100_000)
        pytest.fail("the service reads a header of 40 MB")
    assert worker_of(url).memory_info().rss - memory < 20_000_000


def test_above_the_limit_idle_connections_are_closed(url: str) -> None:
    """400 are allowed: incomplete headers are closed first, then what is idle for longest."""
    with ExitStack() as stack:
        idle = [stack.enter_context(connect(url, LIVEZ)) for _ in range(200)]
        assert all(receive_response(connection).startswith(b"HTTP/1.1 200") for connection in idle)
        half = [stack.enter_context(connect(url, HALF)) for _ in range(150)]
        time.sleep(1.5)
        new = [stack.enter_context(connect(url, LIVEZ)) for _ in range(150)]
        assert all(receive_response(connection).startswith(b"HTTP/1.1 200") for connection in new)
        assert number_open(idle) == 200
        assert number_open(half) <= 50
        time.sleep(1.5)
        new += [stack.enter_context(connect(url, LIVEZ)) for _ in range(200)]
        assert all(
            receive_response(connection).startswith(b"HTTP/1.1 200") for connection in new[-200:]
        )
        assert number_open(half) == 0
        assert not is_open(idle[0])
        assert number_open(new) == 350


def test_slow_bodies_above_the_limit_do_not_stop_health_checks(url: str) -> None:
    """With a request on each of 400 connections, 20 further ones get 503 and `/readyz` 200."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        slow = head + b"Content-Length: 99\r\n\r\n{"
        connections = [stack.enter_context(connect(url, slow)) for _ in range(420)]
        wait_for(lambda: len(readable(connections)) == 20)
        refused = [receive_response(connection) for connection in readable(connections)]
        assert number_open(connections) == 400
        assert httpx.get(f"{url}/readyz").status_code == 200
    for response in refused:
        assert response.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in response
        assert b"too_many_connections" in response


def test_a_client_that_reads_nothing_is_limited_by_its_own_connection(url: str) -> None:
    """Many pipelined requests without a reader: the others are answered."""
    request = b"GET /static/page.css HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(url) as connection:
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100_000):
                connection.send(request * 100)
        assert httpx.get(f"{url}/livez").status_code == 200


def test_few_file_descriptors_lower_the_limit(
    tmp_path: Path, make_stage: Callable[[Path], Any], serve: Serve
) -> None:
    """With 256 descriptors, 300 connections are too many, and the service still answers."""
    stage = make_stage(tmp_path / "store")
    with serve(tmp_path, stage.root) as url:
        supervisor_of(url).rlimit(psutil.RLIMIT_NOFILE, (256, 256))
        worker_of(url).kill()  # the next worker inherits the limit
        wait_for(lambda: answers(f"{url}/livez"))
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(connect(url, HALF))
            assert httpx.get(f"{url}/livez", timeout=5).status_code == 200
