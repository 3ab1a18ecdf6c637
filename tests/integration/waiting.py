"""Waiting for a condition, with a time limit."""

import time
from collections.abc import Callable


def wait_for(condition: Callable[[], object], seconds: float = 40, poll_s: float = 0.1) -> None:
    """Poll until the condition is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition is not met after {seconds:g} s"
        time.sleep(poll_s)


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """`wait_for` with longer pauses, for a condition that Airflow's API or a cluster evaluates."""
    wait_for(condition, seconds, poll_s=0.5)
