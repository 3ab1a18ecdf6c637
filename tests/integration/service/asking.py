"""Asking a served process, and looking at the process itself."""

import time
from collections.abc import Callable
from functools import cache
from urllib.parse import urlsplit

import httpx
import psutil


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    """Poll until the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    return status(url) == 200


def status(url: str) -> int:
    """Of the answer to a GET; 0 when there is none."""
    try:
        return _client().get(url).status_code
    except httpx.TransportError:
        return 0


@cache
def _client() -> httpx.Client:
    """One for all, since each takes 40 ms of a core to make; every request has its connection."""
    return httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))


def error_of(answer: httpx.Response) -> dict[str, str]:
    """The error of a response, after its shape was checked."""
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, str] = answer.json()["error"]
    assert error.keys() == {"code", "message", "expected", "received", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


def supervisor_of(url: str) -> psutil.Process:
    """The process that was started to listen at a URL."""
    return _listening(psutil.Process(), url)


def worker_of(url: str) -> psutil.Process:
    """The one process that answers the requests to a URL."""
    return _listening(supervisor_of(url), url)


def _listening(parent: psutil.Process, url: str) -> psutil.Process:
    port = urlsplit(url).port
    (child,) = [
        child
        for child in parent.children()
        if port in {place.laddr.port for place in child.net_connections("tcp") if place.laddr}
    ]
    return child
