"""One connection of a Uvicorn server, with the limits that Uvicorn lacks.

Uvicorn has a timeout between two requests only: a client that sends half a header, a header without
an end, or reads no response would keep its connection for ever
(https://github.com/Kludex/uvicorn/issues/157).
"""

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 65_536
"""Request line and header together, as in Uvicorn's other parser; trailers have the same limit."""
MAX_PIPELINED = 1_000
"""Requests that a client sends without waiting for a response; each takes more than a kilobyte."""
_H2C = re.compile(rb"\r\nupgrade:(?=[ \t]*h2c\b)", re.IGNORECASE)
RESPONSE_TIMEOUT_S = 60.0
"""Maximum time for which a client reads nothing of a response."""


@dataclass(frozen=True)
class Stall:
    """What a connection waits for; two equal ones mean that nothing happened in between."""

    request: int
    """Identity of the last request."""
    unread: int = 0
    """Bytes of a response that the client has not read; 0 while a header is due."""


class LimitedProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP/1.1 connection that bounds header and response; adds no task or timer."""

    def __init__(
        self,
        *,
        header_timeout_s: float,
        body_timeout_s: float,
        make_room: Callable[[], None],
        **arguments: Any,
    ) -> None:
        """Take Uvicorn's arguments and the limits.

        Args:
            header_timeout_s: from the connection, or the first byte of a further request, to the
                end of the header.
            body_timeout_s: for the rest of a body after an early response, such as a 429.
            make_room: called when a client has connected.
            arguments: those of Uvicorn.
        """
        super().__init__(**arguments)
        self._header_timeout_s = header_timeout_s
        self._body_timeout_s = body_timeout_s
        self._make_room = make_room
        self._in_body = False
        self._header_bytes = 0
        """Bytes that were neither body nor a complete header: a header, trailers or framing."""
        self._stall: Stall | None = None
        self._stalled_since = 0.0
        self.last_data = time.monotonic()
        """When the client last sent something, or connected."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, and make room if it is one too many."""
        super().connection_made(transport)
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent; refuse endless headers and too many pipelined requests."""
        self.last_data = time.monotonic()
        self._header_bytes += len(data)
        super().data_received(_without_h2c(data) if self.waiting else data)
        if self.transport.is_closing():
            return
        if self._header_bytes > MAX_HEADER_BYTES:
            status, message = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the header is too large"
            self._refuse(status, "header_too_large", message, f"at most {MAX_HEADER_BYTES} bytes")
        elif len(self.pipeline) > MAX_PIPELINED:
            self.logger.warning("closed a connection with too many pipelined requests")
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Start the request; the parser calls it."""
        self._header_bytes, self._in_body = 0, True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body; the parser calls it."""
        self._header_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request's body; the parser calls it."""
        self._in_body = False
        super().on_message_complete()

    @property
    def waiting(self) -> bool:
        """Whether no request runs: the connection is idle, or a header is due."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def header_begun(self) -> bool:
        """Whether a header is incomplete, and no earlier request runs."""
        return self.waiting and self.scope is not (self.cycle and self.cycle.scope)

    @property
    def idle(self) -> bool:
        """Whether the client may be silent between two requests: Uvicorn's keep-alive timeout."""
        incomplete = self.header_begun or self._in_body
        return self.waiting and not incomplete and self.timeout_keep_alive_task is not None

    def close_if_stalled(self, now: float) -> bool:
        """Close the connection if it waited too long for header or reader; True if it did.

        Args:
            now: monotonic time in seconds; call it about once per second.
        """
        stall = self._current_stall()
        if stall is None or stall != self._stall:
            self._stall, self._stalled_since = stall, now
            return False
        if now - self._stalled_since < self._timeout_s(stall):
            return False
        if stall.unread:
            self.transport.abort()  # close() would wait for the reader
        elif self.header_begun:
            expected = f"the complete header within {self._header_timeout_s:g} seconds"
            message = "the header did not arrive in time"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "header_timeout", message, expected)
        else:
            self.transport.close()
        return True

    def _timeout_s(self, stall: Stall) -> float:
        if stall.unread:
            return RESPONSE_TIMEOUT_S
        return self._body_timeout_s if self._in_body else self._header_timeout_s

    def _current_stall(self) -> Stall | None:
        """What the connection waits for; None while a request runs or the client may be silent."""
        request = id(self.cycle)
        if unread := self.transport.get_write_buffer_size():
            return Stall(request, unread)
        return Stall(request) if self.waiting and not self.idle else None

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP/1.1, and close the connection; Uvicorn calls it."""
        message = msg.rstrip(".").lower()
        self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", message, "a request of HTTP/1.1")

    def _refuse(self, status: HTTPStatus, code: str, message: str, expected: str) -> None:
        """Send an error in the format of the service and close the connection."""
        error = {"code": code, "message": message, "expected": expected}
        body = json.dumps({"error": {**error, "received": "", "request_id": ""}}).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _without_h2c(data: bytes) -> bytes:
    """The data without an offer of HTTP/2 in its header, which a server may ignore (RFC 9110, 7.8).

    Java's HttpClient sends it with its first request, and httptools would skip the body.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or b"h2c" not in data[:end]:
        return data
    return _H2C.sub(b"\r\nx-upgrade:", data[: end + 2]) + data[end + 2 :]
