"""Run some parts of the Procfile inside a `with` block, for tests and benchmarks."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from rich.console import Console

from pipeline.embedded import credentials, environment, ports, preflight, seaweedfs_access
from pipeline.embedded.parts import PARTS, ROOT, Part, commands
from pipeline.embedded.processes import discovery, supervisor, waiting
from pipeline.embedded.processes.health import is_healthy
from pipeline.errors import UnreachableError
from pipeline.settings import Settings

_START_SECONDS = 90.0
_GRACE_SECONDS = 10.0
_N_PORTS = len(ports.SEAWEEDFS_SERVERS) + len(PARTS)


def on_free_ports(home: Path) -> Settings:
    """Settings of a new stack at `home` on free ports; writes `stack.env` with passwords."""
    first = ports.free_block(_N_PORTS)
    # The address of S3 comes last: SeaweedFS takes the ports after it as well.
    names = ("mlflow_tracking_uri", "airflow_url", "service_url", "reports_url")
    addresses = enumerate((*names, "aws_endpoint_url_s3"), start=first)
    update = {name: f"http://127.0.0.1:{number}" for number, name in addresses}
    return credentials.prepare(Settings(leukoflow_home=home).model_copy(update=update))


@contextmanager
def running(settings: Settings, *names: str) -> Iterator[Settings]:
    """Start the named parts, wait until healthy, run the block, then stop this stack's processes.

    A part that ends inside the block does not stop the others.

    Raises:
        UnreachableError: a part does not become healthy; names its log.
    """
    home = settings.leukoflow_home
    preflight.make_folders(home)
    seaweedfs_access.write_access_files(settings)
    variables = environment.stack_variables(settings, os.environ)
    started_at = time.time()
    processes = {name: _start(home, name, variables) for name in names}
    try:
        _wait(settings, processes, started_at)
        yield settings
    finally:
        discovery.stop_processes(home, grace_s=_GRACE_SECONDS)
        for process in processes.values():
            process.wait()


def _start(home: Path, name: str, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start one part in its own session, with its output in its log; does not wait."""
    line = supervisor.redirected(commands()[name], supervisor.log_path(home, name))
    own = environment.part_variables(variables, name)
    return subprocess.Popen(["sh", "-c", line], cwd=ROOT, env=own, start_new_session=True)


def _wait(
    settings: Settings, processes: Mapping[str, subprocess.Popen[bytes]], started_at: float
) -> None:
    """Wait until the parts are healthy; UnreachableError if one ends or is too slow."""
    parts = [part for part in PARTS if part.name in processes]

    def require_running() -> None:
        """Raise UnreachableError if a part that was started here has ended."""
        for part in parts:
            if processes[part.name].poll() is not None:
                raise _not_started(part, settings)

    healthy = partial(is_healthy, settings=settings, started_at=started_at)
    console = Console(quiet=True)
    for part in waiting.until_healthy(parts, healthy, require_running, console, _START_SECONDS):
        raise _not_started(part, settings)


def _not_started(part: Part, settings: Settings) -> UnreachableError:
    """The error for a part that ended or is not healthy in time."""
    log = supervisor.log_path(settings.leukoflow_home, part.name)
    return UnreachableError(f"{part.title} failed to start; see {log}")
