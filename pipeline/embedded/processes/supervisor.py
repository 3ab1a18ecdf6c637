"""Run the Procfile under honcho: `python -m pipeline.embedded.processes.supervisor PROCFILE`.

Honcho starts every part in its own session and stops all of them when one ends. It does not see
processes that left their session; those are stopped afterwards.
"""

import os
import re
import shlex
import sys
from pathlib import Path

from honcho.manager import Manager

from pipeline.embedded import environment
from pipeline.embedded.parts import ROOT, commands
from pipeline.embedded.processes.discovery import stop_processes

_STOP_LINE = re.compile(r"\b(?:SIG[A-Z]+ received|([a-z0-9-]+) stopped \(rc=(-?\d+)\))")
_GRACE_SECONDS = 5.0


def main(procfile: Path) -> int:
    """Run all parts until one ends or a signal arrives; stop the rest; returns the exit code."""
    home = Path(os.environ[environment.STACK_VARIABLE])
    manager = Manager()
    for name, command in commands(procfile).items():
        variables = environment.part_variables(os.environ, name)
        line = redirected(command, log_path(home, name))
        manager.add_process(name, line, env=variables, cwd=str(ROOT))
    try:
        manager.loop()
    finally:
        stop_processes(home, grace_s=_GRACE_SECONDS)
    return int(manager.returncode or 0)


def log_path(home: Path, name: str) -> Path:
    """Log file of a part, or of the supervisor itself (`supervisor`)."""
    return home / "logs" / f"{name}.log"


def redirected(command: str, log: Path) -> str:
    """Shell line that runs a command by `exec`, with its output appended to a file.

    The output bypasses honcho: a child process that outlives its part would keep honcho's pipe
    open, and honcho would not notice that the part ended.
    """
    return f"exec >>{shlex.quote(str(log))} 2>&1; exec {command}"


def first_stopped(output: str) -> tuple[str, int] | None:
    """Name and return code of the part that ended first, read from honcho's output.

    None while all parts run, and when a signal stopped the supervisor.
    """
    match = _STOP_LINE.search(output)
    return (match[1], int(match[2])) if match and match[1] else None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
