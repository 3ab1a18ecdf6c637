"""The access log: one JSON line per answered request, with nothing in it that a caller wrote.

A caller's own request id is the one exception, and the guard takes it only as a plain word.
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
class Visit:
    """One request, as far as the log tells of it."""

    request_id: str
    method: str
    route: str
    """One of ours, or `other`."""
    key: str = ""
    """Name of the API key that it came with."""
    status: int = 0
    """0 until an answer has begun."""
    received: int = 0
    """Bytes of its body."""
    sent: int = 0
    """Bytes of the answer's body."""
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.perf_counter)

    def counting(self, receive: Receive) -> Receive:
        """The same `receive`; what it brings is counted."""

        async def counted() -> Message:
            message = await receive()
            self.received += len(message.get("body", b""))
            return message

        return counted

    def write(self) -> None:
        """Log it, if it was answered."""
        if self.status:
            logger.info(self.line())

    def line(self) -> str:
        """It as JSON."""
        return json.dumps(
            {
                "time": self.begun.isoformat(timespec="milliseconds"),
                "request_id": self.request_id,
                "method": self.method if self.method in METHODS else "other",
                "route": self.route,
                "status": self.status,
                "milliseconds": round((time.perf_counter() - self._started) * 1000, 1),
                "received": self.received,
                "sent": self.sent,
                "key": self.key,
            }
        )


def start_logging() -> None:
    """Let a worker's stdout show our lines, and only ours, about requests.

    Uvicorn's access log would tell raw paths and queries as soon as somebody turns debugging on,
    and OpenTelemetry warns by repeating the tracing headers that it cannot read.
    """
    logging.getLogger("bento_service").setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stdout))
