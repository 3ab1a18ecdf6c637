"""The line in front of the engine: a few threads, a few places to wait, and a limit of patience."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from bento_service import refusal

T = TypeVar("T")
THREADS = 3
"""The engine answers two at once (`modeling.engine.CROWD`) while a third decodes; with two threads
it would wait for one of them now and then."""
WAITING = 13
"""Few: with random arrivals at 80 % of what the engine can do, more than sixteen requests hardly
ever are there, and in a crowd the wait of those that are let in is the line's length."""


class Line:
    """Runs work in threads; work that was given up keeps its place until it really ends."""

    def __init__(
        self, threads: int = THREADS, waiting: int = WAITING, patience: float = 20.0
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="line")
        self._threads = threads
        self._places = threading.BoundedSemaphore(threads + waiting)
        self._patience = patience
        self._begun: dict[int, float] = {}
        """Thread to when it began what it does now."""

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in its turn.

        Raises:
            Refusal: 429 when every place is taken, 504 when the answer took too long.
        """
        if not self._places.acquire(blocking=False):
            raise refusal.busy()
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise refusal.too_slow(self._patience) from error

    @property
    def full(self) -> bool:
        """Whether nobody would be let in now."""
        free = self._places.acquire(blocking=False)
        if free:
            self._places.release()
        return not free

    def crowded(self) -> bool:
        """Whether more than one piece of work is under way, given up or not."""
        return len(self._begun) > 1

    @property
    def hung(self) -> float:
        """Seconds since when every thread does what nobody waits for; 0 while one does not."""
        begun = list(self._begun.values())
        if len(begun) < self._threads:
            return 0.0
        return max(0.0, time.monotonic() - max(begun) - self._patience)

    def close(self, patience: float = 5.0) -> None:
        """Start no more work, and let what runs end in so many seconds."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + patience
        while self._begun and time.monotonic() < deadline:
            time.sleep(0.02)

    def _timed(self, work: Callable[[], T]) -> T:
        thread = threading.get_ident()
        self._begun[thread] = time.monotonic()
        try:
            return work()
        finally:
            del self._begun[thread]

    def _leave(self, _: Future[Any]) -> None:
        self._places.release()
