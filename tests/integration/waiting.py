"""Waiting for a condition, with a time limit."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Return once a condition is true, tried twice a second; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition is not met after {seconds:.0f} s"
        time.sleep(0.5)
