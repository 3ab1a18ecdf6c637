"""Connections of a Uvicorn server: keep-alive, header timeout and maximum number."""

import logging
import resource
import time
from functools import partial

from uvicorn import Server

from pipeline.http.limited_protocol import LimitedProtocol
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

RESERVED_FILES = 128
"""File descriptors that are left for other files and connections of the process."""
OVERFLOW = 64
"""Connections above the maximum that may live until their request is refused or a health check."""
_NEW_S = 1.0
"""Age until which a connection has probably not had the time to send its request."""
_CLOSED_SHARE = 0.05
"""Share of the connections that are closed together, so that not every client causes a search."""


class Connections:
    """The connections of one server; closes stalled ones, and idle ones above a limit.

    Uvicorn calls it once per second; a request costs nothing.
    """

    def __init__(self, server: Server, settings: Settings) -> None:
        """Limit the connections that `server` accepts from now on."""
        self._server = server
        self._max = _allowed(settings.max_connections)
        self._removed = 0
        """Connections closed above the maximum, and not yet logged."""
        config = server.config
        if not config.loaded:
            config.load()
        config.http_protocol_class = partial(  # type: ignore[assignment]
            LimitedProtocol,
            header_timeout_s=settings.header_timeout_seconds,
            body_timeout_s=settings.body_seconds,
            make_room=self._make_room,
        )
        config.timeout_keep_alive = settings.keep_alive_seconds
        config.callback_notify, config.timeout_notify = self._watch, 0

    @property
    def full(self) -> bool:
        """Whether there are more connections than allowed, and none of them can be closed."""
        return len(self._server.server_state.connections) > self._max

    async def _watch(self) -> None:
        """Close what waits too long for a header or a reader; logs what was closed."""
        now = time.monotonic()
        stalled = sum([connection.close_if_stalled(now) for connection in self._all()])
        if stalled:
            logger.warning("closed %d connections with a slow header or reader", stalled)
        self._make_room()
        if self._removed:
            logger.warning("closed %d of more than %d connections", self._removed, self._max)
            self._removed = 0

    def _make_room(self) -> None:
        """Above the maximum close connections without a request, new ones only above `OVERFLOW`.

        Those with an incomplete header come first, then those that are idle for longest.
        """
        connections = self._all()
        excess = len(connections) - self._max
        if excess <= 0:
            return
        new = time.monotonic() - _NEW_S
        waiting = [
            connection
            for connection in connections
            if connection.waiting and (excess > OVERFLOW or connection.last_data < new)
        ]
        waiting.sort(key=lambda one: (one.last_data >= new, one.idle, one.last_data))
        for connection in waiting[: excess + int(self._max * _CLOSED_SHARE)]:
            connection.transport.close()
            self._removed += 1

    def _all(self) -> list[LimitedProtocol]:
        """The open connections, without those that are being closed."""
        return [
            connection
            for connection in self._server.server_state.connections
            if isinstance(connection, LimitedProtocol) and not connection.transport.is_closing()
        ]


def _allowed(requested: int) -> int:
    """Connections for which the process has file descriptors; raises its limit, logs fewer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = RESERVED_FILES + OVERFLOW
    if soft < requested + others:
        soft = min(hard, requested + others)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allowed = min(requested, max(soft - others, soft // 4))
    if allowed < requested:
        logger.warning("at most %d connections: the limit of open files is %d", allowed, soft)
    return allowed
