"""From the start of the service's process to its first answer, against BentoML's bare own start."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from benchmarks.measure import Row, compared, spread
from benchmarks.service.served import served
from pipeline.embedded.ports import free_block

ROUNDS = 5


def start_rows(home: Path, store: Path) -> list[Row]:
    """Starts in turns with those of a BentoML service without any work, after one of each.

    The first start of an installation compiles Python's sources where the installer did not; the
    second finds them compiled, if PYTHONDONTWRITEBYTECODE is not set (`make bench` clears it).
    """
    seconds = np.array([(_ours(home, store), _bare()) for _ in range(ROUNDS + 1)])[1:]
    ours, bare = seconds.T
    name, against = "start of the process to ready", "`bentoml serve` of a service without any work"
    return [
        spread(name, ours, "s", f"range of {ROUNDS}; the model is loaded and proven"),
        spread(against, bare, "s", f"range of {ROUNDS}"),
        compared(name, np.log(ours / bare), against, "times"),
    ]


def _ours(home: Path, store: Path) -> float:
    with served(home, store) as (_, seconds):
        return seconds


def _bare() -> float:
    port = free_block(1)
    command = [sys.executable, "-m", "bentoml", "serve", "benchmarks.service.bare_service:Bare"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with started(command, f"http://127.0.0.1:{port}/readyz") as seconds:
        return seconds


@contextmanager
def started(command: list[str], url: str) -> Iterator[float]:
    """A process while it runs: the seconds until it listened."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    try:
        with httpx.Client(timeout=5) as client:  # a new one for every look takes 40 ms of a core
            while not _listens(client, url):
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command)} did not start")
                time.sleep(0.02)
        yield time.perf_counter() - begun
    finally:
        process.terminate()
        process.wait()


def _listens(client: httpx.Client, url: str) -> bool:
    try:
        client.get(url)
    except httpx.TransportError:
        return False
    return True
