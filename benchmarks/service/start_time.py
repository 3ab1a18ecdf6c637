"""Start time of the service, against a BentoML service without any work."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from benchmarks.measure import Row, range_row, ratio_row
from benchmarks.service.running_service import running_service
from pipeline.embedded.ports import free_block

ROUNDS = 5


def start_rows(home: Path, store: Path) -> list[Row]:
    """Start times of the service and of one without work, alternately, after a warm-up of each.

    The first start of an installation compiles Python's sources unless the installer did; later
    starts find them compiled if PYTHONDONTWRITEBYTECODE is not set (`make bench` clears it).
    """
    starts = [(_start_service(home, store), _start_bare()) for _ in range(ROUNDS + 1)]
    service, bare = np.array(starts[1:]).T
    name = "start of the process to ready"
    baseline = "`bentoml serve` of a service without any work"
    return [
        range_row(name, service, "s", f"range of {ROUNDS}; model loaded, golden images verified"),
        range_row(baseline, bare, "s", f"range of {ROUNDS}"),
        ratio_row(name, np.log(service / bare), "times", baseline),
    ]


def _start_service(home: Path, store: Path) -> float:
    """Start the service and stop it; seconds until it was ready."""
    with running_service(home, store) as (_, seconds):
        return seconds


def _start_bare() -> float:
    """Start a BentoML service without work and stop it; seconds until it accepted connections."""
    port = free_block(1)
    service = "benchmarks.service.baselines.bare_service:Bare"
    command = [sys.executable, "-m", "bentoml", "serve", service]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with running_command(command, f"http://127.0.0.1:{port}/readyz") as seconds:
        return seconds


@contextmanager
def running_command(command: list[str], url: str) -> Iterator[float]:
    """Run a command until the block ends; yields the seconds until it accepted connections.

    Raises:
        RuntimeError: if the process ends before that.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    try:
        with httpx.Client(timeout=5) as client:  # a new client for every poll takes 40 ms of a core
            while not _listens(client, url):
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} ended before it listened")
                time.sleep(0.02)
        yield time.perf_counter() - start
    finally:
        process.terminate()
        process.wait()


def _listens(client: httpx.Client, url: str) -> bool:
    try:
        client.get(url)
    except httpx.TransportError:
        return False
    return True
