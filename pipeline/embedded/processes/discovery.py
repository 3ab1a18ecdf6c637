"""Find and stop the processes of a stack by an environment variable that descendants inherit.

A parent id or a session would lose a process that forked twice or called `setsid`.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.embedded.environment import PART_VARIABLE, STACK_VARIABLE


def stack_processes(home: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Living processes of the stack at `home`, except this one, each with its part ('': none)."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            variables = process.environ()
            if variables.get(STACK_VARIABLE) == str(home):
                yield process, variables.get(PART_VARIABLE, "")


def stop_processes(home: Path, *, grace_s: float) -> int:
    """SIGTERM every process of a stack, wait, SIGKILL after `grace_s`; returns how many ran."""
    stopped: set[int] = set()
    for kill in (False, True):
        running = [process for process, _ in stack_processes(home)]
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill() if kill else process.terminate()
        stopped.update(process.pid for process in running)
        psutil.wait_procs(running, timeout=grace_s)
    return len(stopped)
