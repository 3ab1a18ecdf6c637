"""Access log: one JSON line per request, without any text from the client.

The only exception is the client's request id, accepted only as a plain word (`REQUEST_ID`).
"""

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.types import Message, Receive

logger = logging.getLogger("leukoflow.access")

METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT".split())


@dataclass
class AccessLogEntry:
    """One request and the response to it, as far as they are logged; filled while it runs."""

    request_id: str
    method: str
    route: str
    """A known route, or `other`."""
    key: str = ""
    """Name of the API key of the request."""
    status: int = 0
    """0 until the response has started."""
    received: int = 0
    """Bytes of the request body."""
    sent: int = 0
    """Bytes of the response body."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _timer: float = field(default_factory=time.perf_counter)

    def counting(self, receive: Receive) -> Receive:
        """Wrap an ASGI `receive`: the result also adds the bytes of the body to `received`."""

        async def counted() -> Message:
            message = await receive()
            self.received += len(message.get("body", b""))
            return message

        return counted

    def write(self) -> None:
        """Log the entry; does nothing if no response was started."""
        if self.status:
            logger.info(self.line())

    def line(self) -> str:
        """The entry as JSON."""
        return json.dumps(
            {
                "time": self.started_at.isoformat(timespec="milliseconds"),
                "request_id": self.request_id,
                "method": self.method if self.method in METHODS else "other",
                "route": self.route,
                "status": self.status,
                "milliseconds": round((time.perf_counter() - self._timer) * 1000, 1),
                "received": self.received,
                "sent": self.sent,
                "key": self.key,
            }
        )


def start_logging() -> None:
    """Configure a worker's loggers: the access log on stdout, and no other log of requests.

    With debugging on, Uvicorn's access log would show raw paths and queries; OpenTelemetry's
    warnings would repeat tracing headers that it cannot parse.
    """
    logging.getLogger("bento_service").setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stdout))
