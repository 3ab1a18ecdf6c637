"""Background threads that repeat an action."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Periodic:
    """A daemon thread that calls `action` at intervals until stopped; its exceptions are logged."""

    def __init__(self, name: str, interval_s: float, action: Callable[[], None]) -> None:
        self._action = action
        self._interval_s = interval_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; its first call is immediate."""
        self._thread.start()

    def stop(self) -> None:
        """Prevent further calls; a running call continues."""
        self._stopping.set()

    def join(self, timeout_s: float = 10.0) -> None:
        """Wait until the thread has ended, at most `timeout_s`; returns either way."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        """Call, log any exception, wait, repeat."""
        while not self._stopping.is_set():
            try:
                self._action()
            except Exception:
                # Log and repeat: one failed call must not stop the background work for good.
                logger.exception("%s failed; trying again", self._thread.name)
            self._stopping.wait(self._interval_s)
