"""The real service with a promoted model, and its processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from benchmarks.service.promoted import NAME
from pipeline.embedded.processes.foreground import on_free_ports, running

_PATIENCE = 60.0


@contextmanager
def served(home: Path, store: Path) -> Iterator[tuple[str, float]]:
    """The service once it is ready: its URL, and the seconds since its process was started.

    Raises:
        RuntimeError: when it does not become ready within a minute.
    """
    settings = on_free_ports(home).model_copy(update={"store_uri": str(store), "model_name": NAME})
    begun = time.perf_counter()
    with running(settings, "service"):
        with httpx.Client() as client:  # a new one for every look takes 40 ms of a core
            while client.get(f"{settings.service_url}/readyz").status_code != 200:
                if time.perf_counter() - begun > _PATIENCE:
                    raise RuntimeError("the service refused the model; see its log")
                time.sleep(0.02)
        yield settings.service_url, time.perf_counter() - begun


def supervisor(url: str) -> psutil.Process:
    """The one of the service's processes that started the others."""
    found = _listening(url)
    (first,) = [process for process in found if process.ppid() not in {one.pid for one in found}]
    return first


def megabytes(url: str) -> float:
    """Resident memory of the largest of the service's processes: its worker."""
    found = _listening(url)
    every = [*found, *(child for one in found for child in one.children(recursive=True))]
    return float(max(process.memory_info().rss for process in every) / 1e6)


def _listening(url: str) -> list[psutil.Process]:
    port = urlsplit(url).port
    found = {c.pid for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port}
    return [psutil.Process(pid) for pid in found if pid is not None]
