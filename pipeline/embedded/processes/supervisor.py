"""Honcho over the lines of the Procfile.

Run as `python -m pipeline.embedded.processes.supervisor PROCFILE`.

Honcho starts every part in its own session and ends them all when one ends. What it cannot see are
processes that left their session; those are swept up afterwards.
"""

import os
import re
import shlex
import sys
from pathlib import Path

from honcho.manager import Manager

from pipeline.embedded import environment
from pipeline.embedded.environment import MARK
from pipeline.embedded.parts import ROOT, commands
from pipeline.embedded.processes import discovery

_ENDED = re.compile(r"\b(?:SIG[A-Z]+ received|([a-z0-9-]+) stopped \(rc=(-?\d+)\))")
_SWEEP_SECONDS = 5.0


def main(procfile: Path) -> int:
    """Run until a part ends or somebody asks to stop; returns honcho's code."""
    home = Path(os.environ[MARK])
    manager = Manager()
    for name, command in commands(procfile).items():
        variables = {**environment.of_part(os.environ, name), discovery.PART: name}
        manager.add_process(name, into_log(command, log(home, name)), env=variables, cwd=str(ROOT))
    try:
        manager.loop()
    finally:
        discovery.stop(home, grace=_SWEEP_SECONDS)
    return int(manager.returncode or 0)


def log(home: Path, name: str) -> Path:
    """Where a part's output goes; the supervisor's own is called `supervisor`."""
    return home / "logs" / f"{name}.log"


def into_log(command: str, path: Path) -> str:
    """A shell line that becomes the part itself.

    Its output bypasses honcho: a worker that outlives the part would otherwise hold honcho's pipe
    open, and honcho would not notice the part's death.
    """
    return f"exec >>{shlex.quote(str(path))} 2>&1; exec {command}"


def first_stopped(output: str) -> tuple[str, int] | None:
    """Name and return code of the part that ended first, by what honcho printed.

    None while all run, and when somebody asked the supervisor to stop.
    """
    found = _ENDED.search(output)
    return (found[1], int(found[2])) if found and found[1] else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
