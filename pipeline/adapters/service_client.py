"""The service over HTTP, as any client would use it."""

import time
from functools import cache
from typing import Any

import httpx

from pipeline.errors import InvalidInputError, PipelineError, UnreachableError

_SECONDS = 60
_TRIES = 20
_KEPT_SECONDS = 2.0
"""An idle connection is used again; the service closes it after five seconds."""


def classify(url: str, name: str, data: bytes, key: str = "") -> dict[str, Any]:
    """Ask about one image; returns the service's answer. A busy service is asked again.

    Raises:
        InvalidInputError: when the service refuses the image, or the API key.
        UnreachableError: when it does not answer, has no model yet, or stays busy.
    """
    for _ in range(_TRIES):
        answer = _post(f"{url}/classify", {"image": (name, data, _media_type(data))}, key)
        if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            return _checked(answer)
        time.sleep(float(answer.headers.get("retry-after", 1)))
    raise UnreachableError(
        f"the service at {url} stays busy", expected=f"an answer within {_TRIES} tries"
    )


def _post(url: str, files: dict[str, tuple[str, bytes, str]], key: str) -> httpx.Response:
    try:
        return _client().post(url, files=files, headers=_headers(key))
    except httpx.TransportError as error:
        raise UnreachableError(f"the service does not answer at {url}: {error}") from error


def served_model(url: str, key: str = "") -> dict[str, Any] | None:
    """What `GET /model` says, or None while no model is served."""
    try:
        answer = _client().get(f"{url}/model", headers=_headers(key))
    except httpx.TransportError as error:
        raise UnreachableError(f"the service does not answer at {url}: {error}") from error
    return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else _checked(answer)


@cache
def _client() -> httpx.Client:
    """One for all threads: each reads all certificates it trusts, 40 ms of a core."""
    return httpx.Client(timeout=_SECONDS, limits=httpx.Limits(keepalive_expiry=_KEPT_SECONDS))


def _headers(key: str) -> dict[str, str]:
    return {"X-API-Key": key} if key else {}


def _media_type(data: bytes) -> str:
    return "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        body: dict[str, Any] = answer.json()
        return body
    try:
        error = answer.json()["error"]
    except (ValueError, TypeError, KeyError):
        raise UnreachableError(
            f"something else answers at {answer.url}",
            expected="the service",
            received=f"{answer.status_code} {answer.text[:200]}",
        ) from None
    kind: type[PipelineError] = InvalidInputError if answer.is_client_error else UnreachableError
    raise kind(error["message"], expected=error["expected"], received=error["received"])
