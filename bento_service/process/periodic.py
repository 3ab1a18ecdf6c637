"""Something that is done again and again beside the requests."""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


class Periodic:
    """A thread that calls `action`, waits, and goes on until it is stopped."""

    def __init__(self, name: str, seconds: float, action: Callable[[], None]) -> None:
        self._action = action
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a first call at once."""
        self._thread.start()

    def stop(self) -> None:
        """Call no more; a call that runs goes on."""
        self._stopping.set()

    def join(self, patience: float = 10.0) -> None:
        """Wait for a running call to end, but not for ever."""
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._action()
            except Exception:
                # One bad turn must not end all later ones: the service would go deaf unnoticed.
                logger.exception("%s failed; trying again", self._thread.name)
            self._stopping.wait(self._seconds)
