"""The line in front of the engine: a few threads, a few places to wait, and a limit of patience."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from bento_service.http import errors

T = TypeVar("T")
THREADS = 3
"""The engine runs two at a time (`CONCURRENT_REQUESTS`) while a third decodes; with two threads it
would wait for one of them now and then."""
WAITING = 9
"""Few: with random arrivals at 80 % of what the engine can do, more than twelve requests hardly
ever are there (docs/decisions/0014-a-short-line-in-a-crowd.md)."""
WAITING_IN_CROWD = 3
"""Enough to keep the threads busy while a crowd stays: whoever is let in then waits as long as the
line is."""
_STAYS_SECONDS = 1.0


class Line:
    """Runs work in threads; work that was given up keeps its place until it really ends."""

    def __init__(
        self,
        threads: int = THREADS,
        waiting: int = WAITING,
        patience: float = 20.0,
        waiting_in_crowd: int = WAITING_IN_CROWD,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="line")
        self._threads = threads
        self._waiting, self._waiting_in_crowd = waiting, min(waiting, waiting_in_crowd)
        self._taken = 0
        self._counting = threading.Lock()
        self._turned_away = deque[float](maxlen=waiting - self._waiting_in_crowd + 1)
        self._patience = patience
        self._begun: dict[int, float] = {}
        """Thread to when it began what it does now."""

    async def run(self, work: Callable[[], T]) -> T:
        """Do some work in its turn.

        Raises:
            Refusal: 429 when every place is taken, 504 when the answer took too long.
        """
        if self.full:
            raise errors.busy()
        with self._counting:
            self._taken += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._leave)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise errors.too_slow(self._patience) from error

    @property
    def full(self) -> bool:
        """Whether nobody is let in now.

        A burst may fill the line. Once more were turned away within a second than the places that
        a short line lacks, it is kept short: in a long one they would wait longer for as many
        answers.
        """
        many = len(self._turned_away) == self._turned_away.maxlen
        stays = many and time.monotonic() - self._turned_away[0] < _STAYS_SECONDS
        waiting = self._waiting_in_crowd if stays else self._waiting
        return self._taken >= self._threads + waiting

    def turns_away(self) -> bool:
        """Whether a caller who comes now is turned away; how many were, says whether a crowd stays.

        Who tries again by itself, such as the images of a differential, does not ask this.
        """
        full = self.full
        if full:
            self._turned_away.append(time.monotonic())
        return full

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
        with self._counting:
            self._taken -= 1
