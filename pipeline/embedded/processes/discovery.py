"""The processes of a stack, found by the mark they inherit, however far they have forked."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from pipeline.embedded.environment import MARK

PART = "LEUKOFLOW_PART"
"""Variable that tells which line of the Procfile a process descends from."""


def of_stack(home: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Every living process of the stack at `home` but this one, with its part ('' for none)."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            variables = process.environ()
            if variables.get(MARK) == str(home):
                yield process, variables.get(PART, "")


def stop(home: Path, *, grace: float) -> int:
    """End what is left of a stack: ask, wait `grace` seconds, then kill. Returns how many."""
    ended: set[int] = set()
    for last in (False, True):
        found = [process for process, _ in of_stack(home)]
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill() if last else process.terminate()
        ended.update(process.pid for process in found)
        psutil.wait_procs(found, timeout=grace)
    return len(ended)
