"""Bounded work queue: N worker threads, a short queue and a per-request timeout."""

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
"""The engine runs two images at once (`CONCURRENT_REQUESTS`) while a third thread decodes; with two
threads it would sometimes idle."""
QUEUE_SLOTS = 9
"""At 80 % load with random arrivals, more than twelve concurrent requests are rare
(docs/decisions/0014-short-queue-under-overload.md)."""
OVERLOAD_QUEUE_SLOTS = 3
"""Queue length under sustained overload: enough to keep the threads busy, and each accepted request
waits only as long as the queue."""
_OVERLOAD_WINDOW_S = 1.0


class WorkQueue:
    """Runs work in threads; started work keeps its slot until it ends, also after a timeout."""

    def __init__(
        self,
        threads: int = THREADS,
        slots: int = QUEUE_SLOTS,
        timeout_s: float = 20.0,
        overload_slots: int = OVERLOAD_QUEUE_SLOTS,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._threads = threads
        self._slots, self._overload_slots = slots, min(slots, overload_slots)
        self._occupied = 0
        self._lock = threading.Lock()
        self._rejections = deque[float](maxlen=slots - self._overload_slots + 1)
        """Times of the latest rejections."""
        self._timeout_s = timeout_s
        self._started: dict[int, float] = {}
        """Thread id to the start time of its current work."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run work in a thread; returns its result, raises its exception or HttpError 429 or 504.

        Raises:
            HttpError: 429 when the queue is full, 504 after the timeout.
        """
        if self.full:
            raise errors.busy()
        with self._lock:
            self._occupied += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._release)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise errors.timed_out(self._timeout_s) from error

    @property
    def full(self) -> bool:
        """Whether no more work is accepted now.

        A burst may fill the whole queue. Under sustained overload (more rejections within a second
        than the short queue has slots less) the short queue applies: throughput is the same, and
        accepted requests wait less.
        """
        enough = len(self._rejections) == self._rejections.maxlen
        overloaded = enough and time.monotonic() - self._rejections[0] < _OVERLOAD_WINDOW_S
        slots = self._overload_slots if overloaded else self._slots
        return self._occupied >= self._threads + slots

    def reject_if_full(self) -> bool:
        """Whether the queue is full; if so, counts a rejection, by which overload is detected.

        Callers that retry by themselves, such as the images of a differential, must not call this.
        """
        full = self.full
        if full:
            self._rejections.append(time.monotonic())
        return full

    def concurrent(self) -> bool:
        """Whether more than one piece of work is running, timed out or not."""
        return len(self._started) > 1

    @property
    def stalled_s(self) -> float:
        """Seconds for which all threads have exceeded the timeout; 0 when one is healthy."""
        started = list(self._started.values())
        if len(started) < self._threads:
            return 0.0
        return max(0.0, time.monotonic() - max(started) - self._timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Cancel queued work and wait for running work, at most `timeout_s`; returns either way."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        deadline = time.monotonic() + timeout_s
        while self._started and time.monotonic() < deadline:
            time.sleep(0.02)

    def _timed(self, work: Callable[[], T]) -> T:
        """Run work, and record its start time for the thread until it ends."""
        thread = threading.get_ident()
        self._started[thread] = time.monotonic()
        try:
            return work()
        finally:
            del self._started[thread]

    def _release(self, _: Future[Any]) -> None:
        """Free one slot; called when work has ended, also after a timeout."""
        with self._lock:
            self._occupied -= 1
