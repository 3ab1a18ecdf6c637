"""Graceful shutdown of a worker: not ready first, then no new connections, then exit."""

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

LINGER_S = 0.5
"""Time for clients accepted at the last moment to send their request."""
REQUEST_TIMEOUT_S = 20
"""Time for running requests to finish."""
MAX_SHUTDOWN_S = 28.0
"""The worker exits after this time, whatever still runs."""


class GracefulShutdown:
    """Handles SIGTERM in place of Uvicorn, which would close connections at once.

    The supervisor keeps the listening socket open, so the kernel would still accept connections
    that nobody serves. The worker therefore shuts the socket down for all processes that share it,
    at a moment when its accept queue is empty. The next worker listens on it again.
    """

    def __init__(self, delay_s: float) -> None:
        """Take the time between "not ready" and the closed socket, for load balancers to react."""
        self.begun = False
        self._delay_s = delay_s

    def handle_sigterm(self) -> None:
        """Install the handler of SIGTERM in place of Uvicorn's; does nothing without Uvicorn."""
        server = running_server()
        if server is not None:
            loop = asyncio.get_running_loop()
            signal.signal(
                signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(self._begin, loop, server)
            )

    def _begin(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        """Start the shutdown, once: not ready now, sockets closed after the delay, exit at 28 s."""
        if self.begun:  # SIGTERM may arrive twice: from the supervisor and from the stack
            return
        self.begun = True
        logger.info("graceful shutdown: not ready; no new connections in %g s", self._delay_s)
        deadline = threading.Timer(MAX_SHUTDOWN_S, _exit_now)
        deadline.daemon = True
        deadline.start()
        server.config.timeout_graceful_shutdown = REQUEST_TIMEOUT_S
        loop.call_later(self._delay_s, self._close, loop, server)

    def _close(self, loop: asyncio.AbstractEventLoop, server: Server) -> None:
        """Close the sockets once no connection waits (retries until then), then stop Uvicorn."""
        sockets = [
            socket.socket(fileno=os.dup(listening.fileno()))
            for asyncio_server in server.servers
            for listening in asyncio_server.sockets
        ]
        pending, _, _ = select.select(sockets, [], [], 0)
        for listening in sockets:
            with listening:
                if not pending:
                    _stop_accepting(listening)
        if pending:
            loop.call_soon(self._close, loop, server)
            return
        for asyncio_server in server.servers:
            asyncio_server.close()
        loop.call_later(LINGER_S, server.handle_exit, signal.SIGTERM, None)


def running_server() -> Server | None:
    """The Uvicorn server of this process, found by its SIGTERM handler; None without one.

    `bentoml serve` makes it and passes it to nobody.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return server if isinstance(server, Server) else None


def _exit_now() -> None:
    """Remove the worker's gauges and exit with EX_TEMPFAIL, without waiting for requests."""
    try:
        metrics.mark_dead()
    finally:
        os._exit(os.EX_TEMPFAIL)


def _stop_accepting(listening: socket.socket) -> None:
    """Shut the socket down for every process that shares it; an OSError is ignored."""
    with contextlib.suppress(OSError):  # Linux only; elsewhere the supervisor's exit closes it
        listening.shutdown(socket.SHUT_RDWR)
