"""SIGTERM under load: what clients and a readiness probe receive."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psutil

from benchmarks.service.clients import ImagePoster

CLIENTS = 8
_LOAD_SECONDS = 1.0
_POLL_SECONDS = 0.02


@dataclass
class Shutdown:
    """Responses around a SIGTERM, and times in seconds since the signal."""

    answered: list[str] = field(default_factory=list)
    """Ids of the requests with a 200."""
    others: list[int] = field(default_factory=list)
    """Statuses of the other complete responses."""
    lost: list[str] = field(default_factory=list)
    """Errors of clients that connected and received no complete response."""
    unready: float = float("inf")
    """Time of the first 503 of /readyz."""
    refused: float = float("inf")
    """Time of the first refused connection."""
    exited: float = float("inf")
    """Time at which the supervisor ended."""


def end_under_load(url: str, image: bytes, supervisor: psutil.Process) -> Shutdown:
    """Send requests without a pause, send SIGTERM, and record until the process ends.

    Args:
        url: root URL of the service.
        image: a JPEG.
        supervisor: the process that gets the signal.

    Raises:
        psutil.TimeoutExpired: if the process does not end within a minute.
    """
    shutdown, over = Shutdown(), threading.Event()
    poster = ImagePoster(f"{url}/classify", image)
    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        futures = [pool.submit(_send, poster, shutdown, over) for _ in range(CLIENTS)]
        time.sleep(_LOAD_SECONDS)
        start = time.perf_counter()
        supervisor.terminate()
        futures.append(
            pool.submit(_probe, poster, shutdown, over, lambda: time.perf_counter() - start)
        )
        try:
            supervisor.wait(60)
        finally:
            over.set()
        shutdown.exited = time.perf_counter() - start
        for future in futures:
            future.result()
    return shutdown


def _send(poster: ImagePoster, shutdown: Shutdown, over: threading.Event) -> None:
    """Post until connections are refused or the process has ended."""
    connection = poster.connect()
    while not over.is_set():
        try:
            if not _open(connection):
                return
            response, body = poster.post(connection)
            content = json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            shutdown.lost.append(repr(error))
            return
        if response.status == 200:
            shutdown.answered.append(content["request_id"])
        else:
            shutdown.others.append(response.status)


def _open(connection: http.client.HTTPConnection) -> bool:
    """Open the connection if it is closed; False if it is refused."""
    if connection.sock is None:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return False
    return True


def _probe(
    poster: ImagePoster, shutdown: Shutdown, over: threading.Event, elapsed: Callable[[], float]
) -> None:
    """Request /readyz over new connections until they are refused."""
    while not over.is_set():
        connection = poster.connect()
        try:
            if not _open(connection):
                shutdown.refused = elapsed()
                return
            connection.request("GET", "/readyz")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            shutdown.lost.append(f"readiness: {error!r}")
            continue
        finally:
            connection.close()
        if status == 503:
            shutdown.unready = min(shutdown.unready, elapsed())
        time.sleep(_POLL_SECONDS)
