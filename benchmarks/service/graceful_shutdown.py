"""What callers see of a service that is told to end while they ask."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil

from benchmarks.service.clients import form

CALLERS = 8
_LOAD_SECONDS = 1.0
_POLL_SECONDS = 0.02


@dataclass
class Ended:
    """What became of the requests around a SIGTERM."""

    answered: list[str] = field(default_factory=list)
    """Ids of the requests that were answered with 200."""
    others: list[int] = field(default_factory=list)
    """Statuses of the other complete answers."""
    lost: list[str] = field(default_factory=list)
    """Why a caller that was let in got no whole answer."""
    unready: float = float("inf")
    """Seconds from the signal to the first 503 of /readyz."""
    refused: float = float("inf")
    """Seconds from the signal to the first connection that was refused."""
    exited: float = float("inf")
    """Seconds from the signal to the end of the supervisor."""


def end_under_load(url: str, image: bytes, supervisor: psutil.Process) -> Ended:
    """Let callers ask without a pause, send SIGTERM, and look until nobody is let in.

    Raises:
        psutil.TimeoutExpired: when the process does not end within a minute.
    """
    ended, over = Ended(), threading.Event()
    place = urlsplit(url).netloc
    body, headers = form(image)

    def ask() -> None:
        connection = http.client.HTTPConnection(place, timeout=60)
        while not over.is_set():
            try:
                if not _open(connection):
                    return
                connection.request("POST", "/classify", body, headers)
                answer = connection.getresponse()
                said = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                ended.lost.append(repr(error))
                return
            if answer.status == 200:
                ended.answered.append(said["request_id"])
            else:
                ended.others.append(answer.status)

    with ThreadPoolExecutor(CALLERS + 1) as pool:
        callers = [pool.submit(ask) for _ in range(CALLERS)]
        time.sleep(_LOAD_SECONDS)
        begun = time.perf_counter()
        supervisor.terminate()
        callers.append(pool.submit(_watch, place, ended, over, lambda: time.perf_counter() - begun))
        try:
            supervisor.wait(60)
        finally:
            over.set()
        ended.exited = time.perf_counter() - begun
        for caller in callers:
            caller.result()
    return ended


def _open(connection: http.client.HTTPConnection) -> bool:
    """Whether a closed connection could be opened."""
    if connection.sock is None:
        try:
            connection.connect()
        except ConnectionRefusedError:
            return False
    return True


def _watch(place: str, ended: Ended, over: threading.Event, now: Callable[[], float]) -> None:
    """Ask for readiness over new connections until there are none."""
    while not over.is_set():
        connection = http.client.HTTPConnection(place, timeout=60)
        try:
            if not _open(connection):
                ended.refused = now()
                return
            connection.request("GET", "/readyz")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            ended.lost.append(f"readiness: {error!r}")
            continue
        finally:
            connection.close()
        if status == 503:
            ended.unready = min(ended.unready, now())
        time.sleep(_POLL_SECONDS)
