"""Answers on their way out: headers that all of them have, and errors in one shape."""

import json
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Scope, Send

from bento_service import metrics
from bento_service.http import errors
from bento_service.http.access_log import Visit
from bento_service.http.errors import Refusal

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",  # a page of two versions would not fit together
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_KEPT_HEADERS = ("allow", "retry-after", "www-authenticate", "connection")


class Reply:
    """Sends an answer on, with the headers every answer has and errors in their one shape."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        visit: Visit,
        why_not_ready: Callable[[], Refusal | None],
        *,
        last: bool,
    ) -> None:
        self._scope = scope
        self._send = send
        self._visit = visit
        self._why_not_ready = why_not_ready
        self._last = last
        """Whether the caller should come back over another connection."""
        self._refused: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Pass one ASGI message, or hold it back until an error body is complete."""
        if message["type"] == "http.response.start":
            self._count(message["status"])
            if message["status"] >= HTTPStatus.BAD_REQUEST:
                self._refused = message
                return
            self._add_headers(message)
        elif self._refused is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._refuse(self._refused)
            return
        await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        self._visit.sent += len(message.get("body", b""))
        await self._send(message)

    def _count(self, status: int) -> None:
        self._visit.status = status
        metrics.REQUESTS.labels(self._visit.route, status).inc()
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            metrics.SHED.inc()

    async def _refuse(self, start: Message) -> None:
        given = Headers(raw=start["headers"])
        kept = [(name, given[name]) for name in _KEPT_HEADERS if name in given]
        detail = errors.parse(bytes(self._body)) or self._detail(start["status"], given)
        body = errors.ErrorBody(
            error=detail.model_copy(update={"request_id": self._visit.request_id})
        ).model_dump()
        content = json.dumps(body).encode()
        headers = [*kept, ("content-type", "application/json")]
        headers.append(("content-length", str(len(content))))
        raw = [(name.encode(), value.encode()) for name, value in headers]
        start = {"type": "http.response.start", "status": start["status"], "headers": raw}
        self._add_headers(start)
        await self._pass_on(start)
        await self._pass_on({"type": "http.response.body", "body": content})

    def _detail(self, status: int, headers: Headers) -> errors.ErrorDetail:
        """What to say for somebody else's status: for `/readyz` the reason, where it is known."""
        reason = self._why_not_ready() if self._scope["path"] == "/readyz" else None
        if reason is not None and status == reason.status:
            return reason.detail
        received = f"{self._scope['method']} {self._scope['path'][:200]}"
        return errors.of_status(status, expected=headers.get("allow", ""), received=received)

    def _add_headers(self, start: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        headers["x-request-id"] = self._visit.request_id
        headers.update(SECURITY_HEADERS)
        if self._last:
            headers["connection"] = "close"
        start["headers"] = headers.raw
