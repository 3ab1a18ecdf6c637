"""A part that is away: told when it goes and when it is back, not at every try between."""

import logging
import time

logger = logging.getLogger(__name__)


class Outage:
    """What one thread knows of a part that it asks again and again."""

    def __init__(self, what: str) -> None:
        """Name the part as the log shall."""
        self._what = what
        self._since: float | None = None
        self._tries = 0

    def began(self, error: Exception) -> None:
        """Note a try that failed; the first one is logged."""
        self._tries += 1
        if self._since is None:
            self._since = time.monotonic()
            logger.warning("%s is away, trying on: %s", self._what, error)

    def ended(self) -> None:
        """Note a try that did not fail; the first one after a failure is logged."""
        if self._since is not None:
            seconds = time.monotonic() - self._since
            logger.warning("%s is back after %.0f s (%d tries)", self._what, seconds, self._tries)
        self._since, self._tries = None, 0
