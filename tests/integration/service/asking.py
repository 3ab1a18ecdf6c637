"""Requests to a served process, and its operating-system processes."""

from functools import cache
from urllib.parse import urlsplit

import httpx
import psutil


def answers(url: str) -> bool:
    """Whether a GET returns 200."""
    return status(url) == 200


def status(url: str) -> int:
    """Status of a GET; 0 without a response."""
    try:
        return _client().get(url).status_code
    except httpx.TransportError:
        return 0


@cache
def _client() -> httpx.Client:
    """A shared client, because creating one takes 40 ms; each request has a new connection."""
    return httpx.Client(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))


def error_of(answer: httpx.Response) -> dict[str, str]:
    """The error of a response, after a check of its format."""
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, str] = answer.json()["error"]
    assert error.keys() == {"code", "message", "expected", "received", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


def supervisor_of(url: str) -> psutil.Process:
    """The supervisor process of a service at a URL."""
    return _listening(psutil.Process(), url)


def worker_of(url: str) -> psutil.Process:
    """The worker process of a service at a URL."""
    return _listening(supervisor_of(url), url)


def _listening(parent: psutil.Process, url: str) -> psutil.Process:
    port = urlsplit(url).port
    (child,) = [
        child
        for child in parent.children()
        if port in {place.laddr.port for place in child.net_connections("tcp") if place.laddr}
    ]
    return child
