"""What every request passes before anybody else looks at it, and every answer on its way out."""

import asyncio
import re
import uuid
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bento_service.http import errors, upload
from bento_service.http.access_log import Visit
from bento_service.http.api_keys import Door
from bento_service.http.bodies import BODIES
from bento_service.http.errors import Refusal
from bento_service.http.response_sender import Reply
from bento_service.http.schemas import REQUEST_ID

MAX_BODY_BYTES = 20_000_000
MAX_HELD_BYTES = 10 * MAX_BODY_BYTES
"""Bodies that one worker holds in memory at the same time."""

COUNTED = frozenset(BODIES) | {"/", "/model", "/metrics", "/docs.json", "/livez", "/readyz"}
"""Routes that are counted and logged by name; all other paths are one."""

ONE_IMAGE = ("/classify", "/explain", "/predict")
"""Routes that a full line turns away; a differential waits for places."""

_REQUEST_ID = re.compile(REQUEST_ID)


class Guard:
    """ASGI middleware: caps and reads the body, takes files out of it, gives errors one shape."""

    def __init__(
        self,
        app: ASGIApp,
        max_body: int = MAX_BODY_BYTES,
        max_held: int = MAX_HELD_BYTES,
        body_seconds: float = 30.0,
        turns_away: Callable[[], bool] = lambda: False,
        ending: Callable[[], bool] = lambda: False,
        why_not_ready: Callable[[], Refusal | None] = lambda: None,
        door: Door | None = None,
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._max_held = max_held
        self._body_seconds = body_seconds
        self._turns_away = turns_away
        self._ending = ending
        self._why_not_ready = why_not_ready
        self._held = 0
        self._door = door or Door()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(headers)
        visit = Visit(state["request_id"], scope["method"], _route(scope["path"]))
        receive = visit.counting(receive)
        reply = Reply(scope, send, visit, self._why_not_ready, last=self._ending())
        try:
            visit.key = self._door.admit(scope["path"], headers)
            _check_route(scope, headers)
            if scope["path"] in ONE_IMAGE and scope["method"] == "POST" and self._turns_away():
                raise errors.busy()  # to read the body first would cost those who wait
            body = await self._read(scope, headers, receive)
            held = len(body)
            try:
                wanted = BODIES.get(scope["path"])
                if scope["method"] == "POST" and wanted is not None and wanted.field:
                    state["files"] = await upload.read_files(headers, body, wanted)
                    body = b""  # nobody needs it twice
                await self._app(scope, _replayed(body, receive), reply)
            finally:
                self._held -= held
        except Refusal as no:
            await no.response()(scope, receive, reply)
        except ClientDisconnect:
            # Nobody hears it, but until an answer begins BentoML waits for its whole timeout, and
            # a worker that is told to stop waits as well.
            await errors.given_up().response()(scope, receive, reply)
        finally:
            visit.write()

    async def _read(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """The whole body, counted as held until the request is answered."""
        if scope["method"] in ("GET", "HEAD"):
            return b""
        wanted = BODIES.get(scope["path"])
        caps = wanted.caps if wanted else 1
        most = self._max_body * caps
        allowance = self._max_held // (2 if caps > 1 else 1)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > most:
            raise _too_large(f"{announced} bytes", most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                async for chunk in Request(scope, receive).stream():
                    body += chunk
                    self._held += len(chunk)
                    if len(body) > most:
                        raise _too_large(f"more than {most} bytes", most)
                    if self._held > allowance:
                        raise errors.busy()
        except TimeoutError as error:
            self._held -= len(body)
            raise self._too_slow() from error
        except (Refusal, ClientDisconnect, asyncio.CancelledError):
            self._held -= len(body)
            raise
        return bytes(body)

    def _too_slow(self) -> Refusal:
        return Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            "body_timeout",
            "the body did not arrive in time",
            expected=f"the whole body within {self._body_seconds:g} seconds",
            headers={"Connection": "close"},
        )


def _too_large(received: str, most: int) -> Refusal:
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body_too_large",
        "the body is too large",
        expected=f"at most {most} bytes",
        received=received,
        headers={"Connection": "close"},
    )


def _route(path: str) -> str:
    return path if path in COUNTED else "other"


def _request_id(headers: Headers) -> str:
    """The caller's own id when it is a plain word, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _check_route(scope: Scope, headers: Headers) -> None:
    """Refuse a body of the wrong kind, and paths that only look like one of ours."""
    path: str = scope["path"]
    if not path.isprintable():  # a router's `$` also matches before a final line feed
        raise Refusal(
            HTTPStatus.NOT_FOUND,
            "not_found",
            "there is no such route",
            expected="a path of printable characters",
            received=ascii(path[:200]),
        )
    wanted = BODIES.get(path)
    given = headers.get("content-type", "").partition(";")[0].strip()
    if scope["method"] == "POST" and wanted is not None and given.lower() != wanted.kind:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body is of a kind that this route does not take",
            expected=wanted.kind,
            received=given[:100] or "no content type",
        )


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body in one piece and afterwards whatever the server says."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
