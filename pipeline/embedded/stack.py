"""Start the embedded stack, report its status and stop it."""

import contextlib
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.embedded import (
    airflow_home,
    credentials,
    environment,
    ports,
    preflight,
    seaweedfs_access,
)
from pipeline.embedded.parts import PROCFILE, ROOT, Part, parts
from pipeline.embedded.processes import discovery, supervisor, waiting
from pipeline.embedded.processes.health import is_healthy
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.http.proxies import unusable_socks
from pipeline.settings import Settings

State = Literal["healthy", "starting", "down"]
_START_SECONDS = 300.0
_GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.01

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartStatus:
    """State of a part, its address and its log file."""

    part: Part
    state: State
    url: str
    log: Path


def up(settings: Settings, console: Console, *, procfile: Path = PROCFILE) -> Settings:
    """Start every part and wait (300 s) until all are healthy; returns the completed settings.

    Writes `stack.env` and prints the status. A stack that is up keeps its processes. After an error
    nothing that this call started is left running.

    Raises:
        InvalidInputError: the stack is up with another model name or store.
        UnreachableError: a port is taken, the disk is full, a part ended or is not healthy in time.
    """
    home = settings.leukoflow_home.resolve()
    to_start = parts(procfile)
    preflight.make_folders(home)
    with preflight.start_lock(home):
        running = find_supervisor(home)
        if running:
            _require_same(running, settings)
        complete = credentials.prepare(settings)
        if running:
            console.print("The stack is already up.")
            _wait(complete, to_start, console)
        else:
            _start(complete, to_start, console, procfile)
    console.print(table(status(complete, procfile=procfile)))
    return complete


def down(settings: Settings) -> int:
    """Stop every process of the stack and wait; returns their number. The data stays."""
    home = settings.leukoflow_home.resolve()
    count = sum(1 for _ in discovery.stack_processes(home))
    process = find_supervisor(home)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        psutil.wait_procs([process], timeout=_GRACE_SECONDS)
    discovery.stop_processes(home, grace_s=_GRACE_SECONDS)
    _pid_file(home).unlink(missing_ok=True)
    logger.info("stack at %s stopped, %d processes", home, count)
    return count


def status(settings: Settings, *, procfile: Path = PROCFILE) -> list[PartStatus]:
    """State and address of every part, from its processes and its health check."""
    home = settings.leukoflow_home.resolve()
    running = {name for _, name in discovery.stack_processes(home)}
    started_at = _started_at(home)

    def state(part: Part) -> State:
        if part.name not in running:
            return "down"
        return "healthy" if is_healthy(part, settings, started_at) else "starting"

    return [
        PartStatus(part, state(part), part.url(settings), supervisor.log_path(home, part.name))
        for part in parts(procfile)
    ]


def failure(settings: Settings) -> str:
    """Name, exit code and log of the part whose end stopped the stack, as text; '' if none did."""
    home = settings.leukoflow_home.resolve()
    output = supervisor.log_path(home, "supervisor")
    stopped = supervisor.first_stopped(output.read_text()) if output.is_file() else None
    if stopped is None:
        return ""
    name, code = stopped
    return f"{name} stopped with code {code}; see {supervisor.log_path(home, name)}"


def table(states: list[PartStatus]) -> Table:
    """State and address of the parts as a table for the terminal."""
    rendered = Table("part", "state", "address")
    colours = {"healthy": "green", "starting": "yellow", "down": "red"}
    for entry in states:
        colour = colours[entry.state]
        rendered.add_row(entry.part.title, Text(entry.state, colour), entry.url)
    return rendered


def find_supervisor(home: Path) -> psutil.Process | None:
    """Running supervisor process of the stack at `home`, from its pid file; None if there is none.

    A pid that belongs to another process by now does not count.
    """
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(_pid_file(home).read_text()))
        own = process.environ().get(environment.STACK_VARIABLE) == str(home)
        if own and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _require_same(supervisor: psutil.Process, settings: Settings) -> None:
    """Raise InvalidInputError if the running stack has another model name or store."""
    running = supervisor.environ()
    for name, requested in (("MODEL_NAME", settings.model_name), ("STORE_URI", settings.store_uri)):
        current = running.get(name, requested)
        if requested and current != requested:
            raise InvalidInputError(
                f"the stack is up with {name}={current}; stop it first: make down",
                expected=current,
                received=requested,
            )


def _start(settings: Settings, to_start: list[Part], console: Console, procfile: Path) -> None:
    """Stop orphans, start the stack and wait; on any error, also Ctrl-C, stop it and raise."""
    home = settings.leukoflow_home
    discovery.stop_processes(home, grace_s=_GRACE_SECONDS)  # orphans of a killed supervisor
    ports.require_free(to_start, settings)
    try:
        _launch(settings, to_start, console, procfile)
        _wait(settings, to_start, console)
    except BaseException:  # also Ctrl-C: no half-started stack is left
        down(settings)
        raise


def _launch(settings: Settings, to_start: list[Part], console: Console, procfile: Path) -> None:
    """Write files, migrate Airflow's database, rotate logs, start the supervisor."""
    home = settings.leukoflow_home
    for name in unusable_socks(os.environ):
        console.print(f"{name} is not passed to the parts: Airflow needs httpx[socks] for it")
    variables = environment.stack_variables(settings, os.environ)
    seaweedfs_access.write_access_files(settings)
    if any(part.name.startswith("airflow") for part in to_start):
        airflow_home.write_passwords(settings)
        with waiting.spinner(console, "preparing Airflow's database"):
            airflow_home.migrate(home, variables)
    for name in ("supervisor", *(part.name for part in to_start)):
        _rotate(supervisor.log_path(home, name))
    with supervisor.log_path(home, "supervisor").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", supervisor.__name__, str(procfile.resolve())],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _pid_file(home).write_text(str(process.pid))
    # Linux shows an empty environment for some milliseconds after `exec`.
    while process.poll() is None and find_supervisor(home) is None:
        time.sleep(_POLL_SECONDS)
    logger.info("supervisor started, pid %d", process.pid)


def _wait(settings: Settings, to_start: list[Part], console: Console) -> None:
    """Wait until all parts are healthy; UnreachableError if the supervisor ends or time is up."""
    home = settings.leukoflow_home

    def require_supervisor() -> None:
        if find_supervisor(home) is None:
            cause = failure(settings) or "the supervisor was stopped"
            raise UnreachableError(f"{cause}; all other parts were stopped")

    healthy = partial(is_healthy, settings=settings, started_at=_started_at(home))
    for part in waiting.until_healthy(
        to_start, healthy, require_supervisor, console, _START_SECONDS
    ):
        log = supervisor.log_path(home, part.name)
        raise UnreachableError(
            f"{part.title} is not healthy after {_START_SECONDS:.0f} s; see {log}"
        )


def _started_at(home: Path) -> float:
    """Start time of the supervisor, as Unix time; 0 if the stack is down."""
    process = find_supervisor(home)
    return process.create_time() if process else 0.0


def _rotate(path: Path) -> None:
    """Rename a log to `.log.1`, which it replaces; does nothing if there is no log."""
    if path.is_file():
        path.replace(path.with_suffix(".log.1"))


def _pid_file(home: Path) -> Path:
    return home / "supervisor.pid"
