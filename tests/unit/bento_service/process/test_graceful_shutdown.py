"""Graceful shutdown without a server; with one: tests/integration/resilience/test_ending.py."""

import asyncio
import signal

from bento_service.process.graceful_shutdown import GracefulShutdown


def test_without_uvicorn_sigterm_is_not_handled() -> None:
    """Another program's signal handler stays."""

    async def watch() -> GracefulShutdown:
        shutdown = GracefulShutdown(delay_s=1)
        shutdown.handle_sigterm()
        return shutdown

    before = signal.getsignal(signal.SIGTERM)
    assert not asyncio.run(watch()).begun
    assert signal.getsignal(signal.SIGTERM) is before
