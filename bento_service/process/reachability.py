"""Reachability log of a dependency: one line when it becomes unreachable, one when it recovers."""

import logging
import time

logger = logging.getLogger(__name__)


class ReachabilityLog:
    """Logs the first failed attempt and the first success after it; for one polling thread."""

    def __init__(self, dependency: str) -> None:
        """Take the name of the dependency as it appears in the log."""
        self._dependency = dependency
        self._unreachable_since: float | None = None
        self._failed_attempts = 0

    def failed(self, error: Exception) -> None:
        """Count a failed attempt; log a warning for the first one only."""
        self._failed_attempts += 1
        if self._unreachable_since is None:
            self._unreachable_since = time.monotonic()
            logger.warning("%s is unreachable, retrying: %s", self._dependency, error)

    def succeeded(self) -> None:
        """Reset the count; log a warning if the previous attempt failed."""
        if self._unreachable_since is not None:
            seconds = time.monotonic() - self._unreachable_since
            logger.warning(
                "%s is reachable again after %.0f s (%d failed attempts)",
                self._dependency,
                seconds,
                self._failed_attempts,
            )
        self._unreachable_since, self._failed_attempts = None, 0
