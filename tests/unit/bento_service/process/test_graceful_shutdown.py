"""A worker's end; tests/integration/resilience/test_ending.py holds that nothing is lost in it."""

import asyncio
import signal

from bento_service.process.graceful_shutdown import Drain


def test_without_an_http_server_there_is_nothing_to_drain() -> None:
    """Another program's way of ending is left alone."""

    async def watch() -> Drain:
        drain = Drain(seconds=1)
        drain.watch()
        return drain

    before = signal.getsignal(signal.SIGTERM)
    assert not asyncio.run(watch()).begun
    assert signal.getsignal(signal.SIGTERM) is before
