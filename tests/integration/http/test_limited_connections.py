"""A Uvicorn server with limited connections, and clients that exceed each limit."""

import contextlib
import socket
import time
from collections.abc import Iterator
from threading import Thread

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn import Config, Server

from pipeline.http import limited_protocol
from pipeline.http.connections import Connections
from pipeline.settings import Settings
from tests.integration.sockets import connect, is_open, receive, receive_response
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.integration

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = 30_000_000


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, except for `/early`; respond with many bytes to `/large`, else with none."""
    while scope["path"] != "/early" and (await receive()).get("more_body"):
        pass
    body = bytes(LARGE) if scope["path"] == "/large" else b""
    length = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of a server in a thread; a client must read something of a response within 2 s."""
    monkeypatch.setattr(limited_protocol, "RESPONSE_TIMEOUT_S", 2.0)
    server = Server(Config(answer, lifespan="off", log_level="critical"))
    Connections(server, Settings(header_timeout_seconds=1, body_seconds=5))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join()


def flood(connection: socket.socket, unit: bytes, max_bytes: int) -> int:
    """Send a unit again and again, and read nothing; returns the bytes sent until it is closed."""
    sent = 0
    connection.settimeout(10)
    with contextlib.suppress(ConnectionError):
        while sent < max_bytes:
            connection.sendall(unit)
            sent += len(unit)
    return sent


@pytest.mark.parametrize(
    ("first", "unit"),
    [
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 1000),
        (b"GET /", b"a" * 10_000),
        (POST + b"1\r\n{\r\n0\r\n", b"a: b\r\n" * 1000),
        (POST + b"1\r\n{\r\n0\r\na: ", b"b" * 10_000),
        (POST + b"1;a=", b"b" * 10_000),
        (b"", GET * 1000),
    ],
    ids=["header", "request line", "trailers", "one trailer", "chunk extension", "pipelined"],
)
def test_what_has_no_end_is_closed(url: str, first: bytes, unit: bytes) -> None:
    """After megabytes, most of which are in the buffers of the sockets; others are served."""
    with connect(url, first) as connection:
        assert flood(connection, unit, 30_000_000) < 30_000_000
    with connect(url, GET) as connection:
        assert receive_response(connection).startswith(b"HTTP/1.1 200")


def test_bodies_in_small_chunks_are_read(url: str) -> None:
    """The limit is for headers and framing in a row, not for all of a request."""
    with connect(url, POST + b"1;a=b\r\n{\r\n" * 100_000 + b"0\r\na: b\r\n\r\n") as connection:
        assert receive_response(connection).startswith(b"HTTP/1.1 200")


def test_the_rest_of_a_body_may_follow_an_early_response(url: str) -> None:
    """A client that reads the response after its upload gets it; an endless upload is closed."""
    upload = b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    with connect(url, upload) as connection:
        for _ in range(10):
            time.sleep(0.3)
            connection.sendall(b"a" * 100)
        assert receive_response(connection).startswith(b"HTTP/1.1 200")
        connection.sendall(GET)
        assert receive_response(connection).startswith(b"HTTP/1.1 200")
    begun = time.monotonic()
    with connect(url, upload) as connection:
        wait_for(lambda: not is_open(connection), 12)
    assert 4 < time.monotonic() - begun < 9


def test_a_client_that_reads_nothing_is_closed(url: str) -> None:
    """One that reads a little now and then is not."""
    request = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(url, request) as stalled, connect(url, request) as slow:
        for _ in range(6):
            time.sleep(1)
            slow.setblocking(True)
            for _ in range(20):
                assert receive(slow)
        assert is_open(slow)
        stalled.setblocking(True)
        received = 0
        while part := receive(stalled):
            received += len(part)
        assert received < LARGE
