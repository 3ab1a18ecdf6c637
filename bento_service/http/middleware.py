"""ASGI middleware: API key, body limits, multipart parsing, error bodies, security headers."""

import asyncio
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento_service.http import errors, upload
from bento_service.http.access_log import AccessLogEntry
from bento_service.http.api_key_check import ApiKeyCheck
from bento_service.http.bodies import BODIES
from bento_service.http.errors import HttpError
from bento_service.http.response_sender import ResponseSender
from bento_service.http.schemas import REQUEST_ID

MAX_BODY_BYTES = 20_000_000
MAX_BUFFERED_BYTES = 10 * MAX_BODY_BYTES
"""Bodies that one worker holds in memory at the same time."""

NAMED_ROUTES = frozenset(BODIES) | {"/", "/model", "/metrics", "/docs.json", "/livez", "/readyz"}
"""Routes with a name of their own in metrics and access log; all other paths are `other`."""

HEALTH_PATHS = ("/livez", "/readyz", "/healthz")
"""Paths that are answered whatever the number of connections."""

SINGLE_IMAGE_ROUTES = ("/classify", "/explain", "/predict")
"""A full queue rejects these at once; images of a differential wait and retry."""

_REQUEST_ID = re.compile(REQUEST_ID)


@dataclass(frozen=True)
class Limits:
    """Limits of request bodies."""

    max_body: int = MAX_BODY_BYTES
    max_buffered: int = MAX_BUFFERED_BYTES
    body_timeout_s: float = 30.0


@dataclass(frozen=True)
class ServiceState:
    """Callbacks by which the middleware asks the service, once per request."""

    reject_if_full: Callable[[], bool] = lambda: False
    """Whether the work queue is full; if so, counts a rejection."""
    too_many_connections: Callable[[], bool] = lambda: False
    shutting_down: Callable[[], bool] = lambda: False
    not_ready_reason: Callable[[], HttpError | None] = lambda: None


@dataclass
class ServiceMiddleware:
    """Checks each request before BentoML and FastAPI see it, and completes each response.

    Files are taken out of multipart bodies into `request.state.files`, so that BentoML reads no
    body and fetches no URL.
    """

    app: ASGIApp
    limits: Limits = Limits()
    state: ServiceState = ServiceState()
    keys: ApiKeyCheck = field(default_factory=ApiKeyCheck)
    _buffered: int = field(default=0, init=False)
    """Bytes of all bodies in memory now."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, serve and log one request; HttpError and a disconnect become responses."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = scope.setdefault("state", {})["request_id"] = _request_id(headers)
        entry = AccessLogEntry(request_id, scope["method"], _route(scope["path"]))
        receive = entry.counting(receive)
        close = self.state.shutting_down()
        sender = ResponseSender(scope, send, entry, self.state.not_ready_reason, close=close)
        try:
            if self.state.too_many_connections() and scope["path"] not in HEALTH_PATHS:
                raise errors.too_many_connections()
            entry.key = self.keys.authenticate(scope["path"], headers)
            _check_route(scope, headers)
            if _takes_one_image(scope) and self.state.reject_if_full():
                raise errors.busy()  # before the body, which would cost running requests time
            await self._serve(scope, headers, receive, sender)
        except HttpError as error:
            await error.response()(scope, receive, sender)
        except ClientDisconnect:
            # Without a response BentoML would wait for its whole timeout, and so would a shutdown.
            await errors.client_disconnected().response()(scope, receive, sender)
        finally:
            entry.write()

    async def _serve(
        self, scope: Scope, headers: Headers, receive: Receive, sender: ResponseSender
    ) -> None:
        """Read the body, move its files to `state.files`, call the app; raises HttpError."""
        body = await self._read(scope, headers, receive)
        buffered = len(body)
        try:
            spec = BODIES.get(scope["path"])
            if scope["method"] == "POST" and spec is not None and spec.field:
                scope["state"]["files"] = await upload.read_files(headers, body, spec)
                body = b""  # the files suffice
            await self.app(scope, _replayed(body, receive), sender)
        finally:
            self._buffered -= buffered

    async def _read(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """The complete body; adds its size to `_buffered`, which the caller subtracts.

        After an error nothing stays added.

        Raises:
            HttpError: 408, 413, or 429 when too many bytes are buffered.
        """
        if scope["method"] in ("GET", "HEAD"):
            return b""
        spec = BODIES.get(scope["path"])
        factor = spec.size_factor if spec else 1
        max_bytes = self.limits.max_body * factor
        # Large bodies may fill half of the memory; the rest stays free for single images.
        max_buffered = self.limits.max_buffered // (2 if factor > 1 else 1)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > max_bytes:
            raise _too_large(f"{announced} bytes", max_bytes)
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.body_timeout_s):
                async for chunk in Request(scope, receive).stream():
                    body += chunk
                    self._buffered += len(chunk)
                    if len(body) > max_bytes:
                        raise _too_large(f"more than {max_bytes} bytes", max_bytes)
                    if self._buffered > max_buffered:
                        raise errors.busy()
        except TimeoutError as error:
            self._buffered -= len(body)
            raise _body_timeout(self.limits.body_timeout_s) from error
        except (HttpError, ClientDisconnect, asyncio.CancelledError):
            self._buffered -= len(body)
            raise
        return bytes(body)


def _takes_one_image(scope: Scope) -> bool:
    """Whether a full queue rejects this request at once."""
    return scope["path"] in SINGLE_IMAGE_ROUTES and scope["method"] == "POST"


def _body_timeout(timeout_s: float) -> HttpError:
    """408: the body did not arrive in time; closes the connection."""
    return HttpError(
        HTTPStatus.REQUEST_TIMEOUT,
        "body_timeout",
        "the body did not arrive in time",
        expected=f"the complete body within {timeout_s:g} seconds",
        headers={"Connection": "close"},
    )


def _too_large(received: str, max_bytes: int) -> HttpError:
    """413: the body is too large; closes the connection."""
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        "the body is too large",
        expected=f"at most {max_bytes} bytes",
        received=received,
        headers={"Connection": "close"},
    )


def _route(path: str) -> str:
    """The path if it is a known route, else `other`: the label of metrics and log."""
    return path if path in NAMED_ROUTES else "other"


def _request_id(headers: Headers) -> str:
    """The client's request id if it matches `REQUEST_ID`, else a new one."""
    received = headers.get("x-request-id", "")
    return received if _REQUEST_ID.fullmatch(received) else uuid.uuid4().hex


def _check_route(scope: Scope, headers: Headers) -> None:
    """Raise 404 for a non-printable path, 415 for a wrong content type or a compressed body."""
    path: str = scope["path"]
    if not path.isprintable():  # a router's `$` also matches before a final line feed
        raise HttpError(
            HTTPStatus.NOT_FOUND,
            "not_found",
            "no such route",
            expected="a path of printable characters",
            received=ascii(path[:200]),
        )
    spec = BODIES.get(path)
    if scope["method"] != "POST" or spec is None:
        return
    media_type = headers.get("content-type", "").partition(";")[0].strip()
    if media_type.lower() != spec.media_type:
        raise errors.unsupported_media_type(
            "the route does not accept this content type",
            expected=spec.media_type,
            received=media_type or "no content type",
        )
    encoding = headers.get("content-encoding", "").strip()
    if encoding.lower() not in ("", "identity"):
        raise errors.unsupported_media_type(
            "the route does not accept a compressed body",
            expected="a body without Content-Encoding",
            received=f"Content-Encoding: {encoding}",
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body in one message, then the server's further messages."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
