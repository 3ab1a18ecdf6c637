"""Clients that ask as fast as they are answered, and what they saw."""

import http.client
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

_BOUNDARY = "leukoflow-bench"


@dataclass(frozen=True)
class Seen:
    """What a number of workers did in a while."""

    seconds: float
    latencies: NDArray[np.float64]
    """Of each piece of work that ended, in milliseconds."""

    @property
    def rate(self) -> float:
        """Pieces a second."""
        return len(self.latencies) / self.seconds


def keep_busy(make_work: Callable[[], Callable[[], object]], workers: int, seconds: float) -> Seen:
    """Let workers do their work over and over; each makes its own, such as a connection."""
    told: list[list[float]] = [[] for _ in range(workers)]
    works = [make_work() for _ in range(workers)]
    for work in works:
        work()
    end = time.perf_counter() + seconds

    def act(place: int) -> None:
        while (start := time.perf_counter()) < end:
            works[place]()
            told[place].append(1000 * (time.perf_counter() - start))

    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(act, place) for place in range(workers)]:
            done.result()
    return Seen(time.perf_counter() - begun, np.concatenate([np.array(one) for one in told]))


def form(image: bytes) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a request that sends an image."""
    body = (
        (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="x.jpeg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        ).encode()
        + image
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    return body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


def post_image(url: str, image: bytes) -> Callable[[], Callable[[], object]]:
    """Workers that send an image over a connection of their own and insist on a 200."""
    place = urlsplit(url)
    body, headers = form(image)

    def connect() -> Callable[[], object]:
        connection = http.client.HTTPConnection(place.netloc, timeout=60)

        def ask() -> None:
            connection.request("POST", place.path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"expected 200, received {answer.status}: {said[:200]!r}")

        return ask

    return connect
