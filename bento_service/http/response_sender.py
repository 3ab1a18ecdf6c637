"""Response sender: headers of every response, and error bodies of BentoML and Starlette."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Scope, Send

from bento_service import metrics
from bento_service.http import errors
from bento_service.http.access_log import AccessLogEntry
from bento_service.http.errors import HttpError

SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-cache",  # scripts of two versions of the page would not work together
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_ERROR_HEADERS = ("allow", "retry-after", "www-authenticate", "connection")
"""Headers that an error response keeps."""


class ResponseSender:
    """ASGI `send` of one request: adds headers and rewrites errors to `ErrorBody`."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        entry: AccessLogEntry,
        not_ready_reason: Callable[[], HttpError | None],
        *,
        close: bool,
    ) -> None:
        """Take the request, where to send, the log entry to fill and the error of `/readyz`.

        With `close` the client must use another connection for its next request.
        """
        self._scope = scope
        self._send = send
        self._entry = entry
        self._not_ready_reason = not_ready_reason
        self._close = close
        self._error: Message | None = None
        """Start of an error response, held back until its body is complete."""
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        """Send one ASGI message; parts of an error response are held until it is complete."""
        if message["type"] == "http.response.start":
            self._count(message["status"])
            if message["status"] >= HTTPStatus.BAD_REQUEST:
                self._error = message
                return
            self._add_headers(message)
        elif self._error is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_error(self._error)
            return
        await self._forward(message)

    async def _forward(self, message: Message) -> None:
        """Send a message as it is; counts its bytes."""
        self._entry.sent += len(message.get("body", b""))
        await self._send(message)

    def _count(self, status: int) -> None:
        """Put the status into log entry and metrics."""
        self._entry.status = status
        metrics.REQUESTS.labels(self._entry.route, status).inc()
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            metrics.SHED.inc()

    async def _send_error(self, start: Message) -> None:
        """Send the held error with an `ErrorBody`, made from its status if it has none."""
        received = Headers(raw=start["headers"])
        detail = errors.parse(bytes(self._body)) or self._detail(start["status"], received)
        detail = detail.model_copy(update={"request_id": self._entry.request_id})
        response = JSONResponse(
            errors.ErrorBody(error=detail).model_dump(),
            start["status"],
            headers={name: received[name] for name in _ERROR_HEADERS if name in received},
        )
        start = {**start, "headers": response.raw_headers}
        self._add_headers(start)
        await self._forward(start)
        await self._forward({"type": "http.response.body", "body": response.body})

    def _detail(self, status: int, headers: Headers) -> errors.ErrorDetail:
        """The detail for a status alone; for `/readyz` the reason, where it is known."""
        reason = self._not_ready_reason() if self._scope["path"] == "/readyz" else None
        if reason is not None and status == reason.status:
            return reason.detail
        received = f"{self._scope['method']} {self._scope['path'][:200]}"
        return errors.from_status(status, expected=headers.get("allow", ""), received=received)

    def _add_headers(self, start: Message) -> None:
        """Add request id and security headers to a start message, in place."""
        headers = MutableHeaders(raw=start["headers"])
        headers["x-request-id"] = self._entry.request_id
        headers.update(SECURITY_HEADERS)
        if self._close:
            headers["connection"] = "close"
        start["headers"] = headers.raw
