"""Starts the service with a promoted model, and measures its processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from benchmarks.service.promoted_model import NAME
from pipeline.embedded.processes.temporary_parts import on_free_ports, running

_START_TIMEOUT_S = 60.0


@contextmanager
def running_service(home: Path, store: Path) -> Iterator[tuple[str, float]]:
    """Run the service within the block; yields its URL and the seconds until it was ready.

    Raises:
        RuntimeError: if it is not ready within a minute.
    """
    settings = on_free_ports(home).model_copy(update={"store_uri": str(store), "model_name": NAME})
    start = time.perf_counter()
    with running(settings, "service"):
        with httpx.Client() as client:  # a new client for every poll takes 40 ms of a core
            while client.get(f"{settings.service_url}/readyz").status_code != 200:
                if time.perf_counter() - start > _START_TIMEOUT_S:
                    raise RuntimeError(
                        f"not ready after {_START_TIMEOUT_S:.0f} s; see the log below {home}"
                    )
                time.sleep(0.02)
        yield settings.service_url, time.perf_counter() - start


def supervisor(url: str) -> psutil.Process:
    """The service's parent process."""
    processes = _listening(url)
    pids = {process.pid for process in processes}
    (parent,) = [process for process in processes if process.ppid() not in pids]
    return parent


def worker_megabytes(url: str) -> float:
    """Resident memory of the service's largest process: its worker."""
    parents = _listening(url)
    children = [child for parent in parents for child in parent.children(recursive=True)]
    return float(max(process.memory_info().rss for process in [*parents, *children]) / 1e6)


def _listening(url: str) -> list[psutil.Process]:
    """Processes with a TCP socket on the URL's port."""
    port = urlsplit(url).port
    pids = {c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port}
    return [psutil.Process(pid) for pid in pids if pid is not None]
