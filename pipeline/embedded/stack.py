"""Start, watch and stop the embedded stack."""

import contextlib
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from pipeline.embedded import airflow_home, credentials, environment, object_store, ports, preflight
from pipeline.embedded.parts import PROCFILE, ROOT, Part, parts
from pipeline.embedded.processes import discovery, supervisor, waiting
from pipeline.embedded.processes.health import is_healthy
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

State = Literal["healthy", "starting", "down"]
_START_SECONDS = 300.0
_GRACE_SECONDS = 15.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartStatus:
    """How a part does; `log` is worth reading when it is not healthy."""

    part: Part
    state: State
    url: str
    log: Path


def up(settings: Settings, console: Console, *, procfile: Path = PROCFILE) -> Settings:
    """Start every part and wait until all are healthy; a stack that is up is left alone.

    Returns:
        The settings with the generated passwords and addresses filled in.

    Raises:
        UnreachableError: a port is taken, the disk is full or a part died; nothing that this call
            started is left running.
    """
    home = settings.leukoflow_home.resolve()
    wanted = parts(procfile)
    preflight.make_folders(home)
    with preflight.alone(home):
        alive = find_supervisor(home)
        if alive:
            _require_same(alive, settings)
        complete = credentials.prepare(settings)
        if alive:
            console.print("The stack is already up.")
            _wait(complete, wanted, console)
        else:
            _start(complete, wanted, console, procfile)
    console.print(table(status(complete, procfile=procfile)))
    return complete


def down(settings: Settings) -> int:
    """Stop every process of the stack and return how many there were; the data stays."""
    home = settings.leukoflow_home.resolve()
    count = sum(1 for _ in discovery.of_stack(home))
    process = find_supervisor(home)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        psutil.wait_procs([process], timeout=_GRACE_SECONDS)
    discovery.stop(home, grace=_GRACE_SECONDS)
    _pid_file(home).unlink(missing_ok=True)
    logger.info("stack at %s stopped, %d processes", home, count)
    return count


def status(settings: Settings, *, procfile: Path = PROCFILE) -> list[PartStatus]:
    """State and address of every part, by its process and by what it answers."""
    home = settings.leukoflow_home.resolve()
    alive = {name for _, name in discovery.of_stack(home)}
    since = _started_at(home)

    def state(part: Part) -> State:
        if part.name not in alive:
            return "down"
        return "healthy" if is_healthy(part, settings, since) else "starting"

    return [
        PartStatus(part, state(part), part.url(settings), supervisor.log(home, part.name))
        for part in parts(procfile)
    ]


def failure(settings: Settings) -> str:
    """One line on the part that ended the last stack by itself, or ''."""
    home = settings.leukoflow_home.resolve()
    output = supervisor.log(home, "supervisor")
    ended = supervisor.first_stopped(output.read_text()) if output.is_file() else None
    if ended is None:
        return ""
    name, code = ended
    return f"{name} stopped with code {code}; see {supervisor.log(home, name)}"


def table(states: list[PartStatus]) -> Table:
    """The parts with their state and address, for people."""
    shown = Table("part", "state", "address")
    colours = {"healthy": "green", "starting": "yellow", "down": "red"}
    for one in states:
        shown.add_row(one.part.title, f"[{colours[one.state]}]{one.state}[/]", one.url)
    return shown


def find_supervisor(home: Path) -> psutil.Process | None:
    """The living supervisor of the stack at `home`; a reused process id does not count."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(_pid_file(home).read_text()))
        marked = process.environ().get(environment.MARK) == str(home)
        if marked and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _require_same(supervisor: psutil.Process, settings: Settings) -> None:
    """Refuse another model or store than those that the running stack was started with."""
    running = supervisor.environ()
    for name, wanted in (("MODEL_NAME", settings.model_name), ("STORE_URI", settings.store_uri)):
        current = running.get(name, wanted)
        if wanted and current != wanted:
            raise InvalidInputError(
                f"the stack is up with {name}={current}; stop it first: make down",
                expected=current,
                received=wanted,
            )


def _start(settings: Settings, wanted: list[Part], console: Console, procfile: Path) -> None:
    home = settings.leukoflow_home
    discovery.stop(home, grace=_GRACE_SECONDS)  # left by a supervisor that was killed
    ports.require_free(wanted, settings)
    try:
        _launch(settings, wanted, console, procfile)
        _wait(settings, wanted, console)
    except BaseException:  # also Ctrl-C: what was begun here is not left half-started
        down(settings)
        raise


def _launch(settings: Settings, wanted: list[Part], console: Console, procfile: Path) -> None:
    home = settings.leukoflow_home
    variables = environment.of_stack(settings, os.environ)
    object_store.write(settings)
    if any(part.name.startswith("airflow") for part in wanted):
        airflow_home.write_passwords(settings)
        with waiting.spinner(console, "preparing Airflow's database"):
            airflow_home.migrate(home, variables)
    for name in ("supervisor", *(part.name for part in wanted)):
        _set_aside(supervisor.log(home, name))
    with supervisor.log(home, "supervisor").open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pipeline.embedded.processes.supervisor",
                str(procfile.resolve()),
            ],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _pid_file(home).write_text(str(process.pid))
    logger.info("supervisor started, pid %d", process.pid)


def _wait(settings: Settings, wanted: list[Part], console: Console) -> None:
    home = settings.leukoflow_home

    def check() -> None:
        if find_supervisor(home) is None:
            why = failure(settings) or "the supervisor was ended"
            raise UnreachableError(f"{why}; everything else was stopped")

    since = _started_at(home)
    late = waiting.until_healthy(
        wanted, lambda part: is_healthy(part, settings, since), check, console, _START_SECONDS
    )
    if late:
        where = supervisor.log(home, late[0].name)
        raise UnreachableError(
            f"{late[0].title} is not healthy after {_START_SECONDS:.0f} s; see {where}"
        )


def _started_at(home: Path) -> float:
    process = find_supervisor(home)
    return process.create_time() if process else 0.0


def _set_aside(path: Path) -> None:
    """Keep the log of the start before this one, and no older."""
    if path.is_file():
        path.replace(path.with_suffix(".log.1"))


def _pid_file(home: Path) -> Path:
    return home / "supervisor.pid"
