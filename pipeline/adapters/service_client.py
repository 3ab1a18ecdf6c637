"""HTTP client of the prediction service: `POST /classify` and `GET /model`."""

import time
from functools import cache
from typing import Any

import httpx

from pipeline.errors import InvalidInputError, PipelineError, UnreachableError
from pipeline.http.client import failure, open_client

_TIMEOUT_S = 60
_JPEG = "image/jpeg"
_MEDIA_TYPES = {b"\x89PNG": "image/png", b"BM": "image/bmp"}
_MAX_ATTEMPTS = 20
_KEEPALIVE_S = 2.0
"""Time for which an idle connection is reused; shorter than any server's or proxy's."""


def classify(url: str, file_name: str, data: bytes, key: str = "") -> dict[str, Any]:
    """Send an image to `POST /classify` and return the JSON; a 429 is retried up to 20 times.

    Raises:
        InvalidInputError: when the service refuses the image or the API key, or a proxy of the
            environment cannot be used.
        UnreachableError: when it does not respond, has no model yet, or stays overloaded.
    """
    for attempt in range(1, _MAX_ATTEMPTS + 1):
        response = _post(url, {"image": (file_name, data, _media_type(data))}, key)
        if response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            return _checked(response)
        if attempt < _MAX_ATTEMPTS:
            time.sleep(_retry_after(response))
    raise UnreachableError(
        f"the service at {url} is overloaded",
        expected=f"a response within {_MAX_ATTEMPTS} attempts",
    )


def _retry_after(response: httpx.Response) -> float:
    """Seconds of `Retry-After`, else 1: a proxy may send a date or nothing."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 1.0


def _post(url: str, files: dict[str, tuple[str, bytes, str]], key: str) -> httpx.Response:
    """Any response of `/classify` to a form; UnreachableError if the service does not respond."""
    try:
        return _client(url).post("/classify", files=files, headers=_headers(key))
    except httpx.TransportError as error:
        raise _unreachable(url, error) from error


def served_model(url: str, key: str = "") -> dict[str, Any] | None:
    """JSON of `GET /model`; None while no model is served; raises as `classify`."""
    try:
        response = _client(url).get("/model", headers=_headers(key))
    except httpx.TransportError as error:
        raise _unreachable(url, error) from error
    return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else _checked(response)


@cache
def _client(url: str) -> httpx.Client:
    """The client of a service, made once: loading the certificates takes 40 ms."""
    limits = httpx.Limits(keepalive_expiry=_KEEPALIVE_S)
    return open_client(url, timeout=_TIMEOUT_S, limits=limits)


def _unreachable(url: str, error: httpx.TransportError) -> UnreachableError:
    return UnreachableError(f"the service does not respond at {url}: {failure(url, error)}")


def _headers(key: str) -> dict[str, str]:
    return {"X-API-Key": key} if key else {}


def _media_type(data: bytes) -> str:
    """By the file's first bytes, `image/jpeg` if they are others; validates nothing."""
    return next((kind for start, kind in _MEDIA_TYPES.items() if data.startswith(start)), _JPEG)


def _checked(response: httpx.Response) -> dict[str, Any]:
    """Return a successful response's JSON; else InvalidInputError (4xx) or UnreachableError."""
    if response.is_success:
        body: dict[str, Any] = response.json()
        return body
    try:
        error = response.json()["error"]
        message, expected, received = (error[k] for k in ("message", "expected", "received"))
    except (ValueError, TypeError, KeyError):
        raise UnreachableError(
            f"another program responds at {response.url}",
            expected="the Leukoflow service",
            received=f"{response.status_code} {response.text[:200]}",
        ) from None
    kind: type[PipelineError] = InvalidInputError if response.is_client_error else UnreachableError
    raise kind(message, expected=expected, received=received)
