"""Some parts of the Procfile alone, for as long as a `with` block lasts: for tests."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.embedded import credentials, environment, object_store, ports, preflight
from pipeline.embedded.parts import PARTS, ROOT, commands
from pipeline.embedded.processes import discovery, supervisor
from pipeline.embedded.processes.health import is_healthy
from pipeline.errors import UnreachableError
from pipeline.settings import Settings

_START_SECONDS = 90.0
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 10.0
_PORTS = len(ports.SEAWEED) + len(PARTS)


def on_free_ports(home: Path) -> Settings:
    """Settings, with passwords, of a stack at `home` that meets no other stack."""
    first = ports.free_block(_PORTS)
    mlflow, airflow, service, reports = range(first, first + 4)
    return credentials.prepare(
        Settings(
            leukoflow_home=home,
            mlflow_tracking_uri=f"http://127.0.0.1:{mlflow}",
            airflow_url=f"http://127.0.0.1:{airflow}",
            service_url=f"http://127.0.0.1:{service}",
            reports_url=f"http://127.0.0.1:{reports}",
            aws_endpoint_url_s3=f"http://127.0.0.1:{first + 4}",
        )
    )


@contextmanager
def running(settings: Settings, *names: str) -> Iterator[Settings]:
    """Run lines of the Procfile as they are until the block ends; no process outlives it.

    Raises:
        UnreachableError: when one does not become healthy, naming its log.
    """
    home = settings.leukoflow_home
    preflight.make_folders(home)
    object_store.write(settings)
    variables = environment.of_stack(settings, os.environ)
    started = [_start(home, name, variables) for name in names]
    try:
        for name, process in zip(names, started, strict=True):
            _wait(settings, name, process)
        yield settings
    finally:
        discovery.stop(home, grace=_GRACE_SECONDS)
        for process in started:
            process.wait()


def _start(home: Path, name: str, variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    line = supervisor.into_log(commands()[name], supervisor.log(home, name))
    own = {**environment.of_part(variables, name), discovery.PART: name}
    return subprocess.Popen(["sh", "-c", line], cwd=ROOT, env=own, start_new_session=True)


def _wait(settings: Settings, name: str, process: "subprocess.Popen[bytes]") -> None:
    part = next(part for part in PARTS if part.name == name)
    begun = time.time()
    while not is_healthy(part, settings, begun):
        if process.poll() is not None or time.time() - begun > _START_SECONDS:
            where = supervisor.log(settings.leukoflow_home, name)
            raise UnreachableError(f"{part.title} did not start; see {where}")
        time.sleep(_POLL_SECONDS)
