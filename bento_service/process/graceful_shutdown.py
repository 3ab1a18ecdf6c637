"""The end of a worker: told to end it stops being ready, answers what comes, closes its door."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import threading

from uvicorn import Server

from bento_service import metrics

logger = logging.getLogger(__name__)

LINGER = 0.5
"""Seconds in which a caller who came through the closing door may say what it wants."""
ANSWERING = 20
"""Seconds within which what was asked must be answered."""
LONGEST = 28.0
"""Seconds after which the worker ends, whatever it still does."""


class Drain:
    """Stands between SIGTERM and the HTTP server, which would hang up on callers at once.

    The supervisor keeps the listening socket open, so that callers would be let in by the
    kernel and never be answered: the worker shuts the socket for all processes that share it, at a
    moment when nobody waits in it. A worker that is started later opens it again.
    """

    def __init__(self, seconds: float) -> None:
        """Get ready.

        Args:
            seconds: between not being ready and the closed door, for balancers to take notice.
        """
        self.begun = False
        self._seconds = seconds

    def watch(self) -> None:
        """Take SIGTERM over from the HTTP server, if there is one in this process."""
        server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
        if isinstance(server, Server):
            loop = asyncio.get_running_loop()
            signal.signal(
                signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._begin, loop, server)
            )

    def _begin(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        if self.begun:  # by the supervisor and by whoever ends all processes of a stack
            return
        self.begun = True
        logger.info("told to end: not ready from now on, and closed in %g s", self._seconds)
        end = threading.Timer(LONGEST, _end)
        end.daemon = True
        end.start()
        server.config.timeout_graceful_shutdown = ANSWERING
        loop.call_later(self._seconds, self._close, loop, server)

    def _close(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        """Shut the door when nobody stands in it; the loop lets in who does."""
        doors = [
            socket.socket(fileno=os.dup(door.fileno()))
            for listening in server.servers
            for door in listening.sockets
        ]
        waiting, _, _ = select.select(doors, [], [], 0)
        for door in doors:
            with door:
                if not waiting:
                    _shut(door)
        if waiting:
            loop.call_soon(self._close, loop, server)
            return
        for listening in server.servers:
            listening.close()
        loop.call_later(LINGER, server.handle_exit, signal.SIGTERM, None)


def _end() -> None:
    metrics.leave()
    os._exit(os.EX_TEMPFAIL)


def _shut(door: socket.socket) -> None:
    with contextlib.suppress(OSError):  # only Linux can; elsewhere the supervisor's exit shuts it
        door.shutdown(socket.SHUT_RDWR)
