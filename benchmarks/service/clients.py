"""Closed-loop clients: each sends its next request when the last one is answered."""

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
class Load:
    """Duration and latencies of the calls of some concurrent workers."""

    seconds: float
    latencies: NDArray[np.float64]
    """Milliseconds of each call."""

    @property
    def rate(self) -> float:
        """Calls per second."""
        return len(self.latencies) / self.seconds


def run_workers(
    make_work: Callable[[], Callable[[], object]], workers: int, seconds: float
) -> Load:
    """Call work repeatedly in threads for some seconds, after one warm-up call of each worker."""
    latencies: list[list[float]] = [[] for _ in range(workers)]
    works = [make_work() for _ in range(workers)]
    for work in works:
        work()
    start = time.perf_counter()
    end = start + seconds

    def repeat(index: int) -> None:
        while (begin := time.perf_counter()) < end:
            works[index]()
            latencies[index].append(1000 * (time.perf_counter() - begin))

    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(repeat, index) for index in range(workers)]:
            future.result()
    elapsed = time.perf_counter() - start
    return Load(elapsed, np.concatenate([np.array(one) for one in latencies]))


class ImagePoster:
    """Posts one image as multipart form data."""

    def __init__(self, url: str, image: bytes) -> None:
        parts = urlsplit(url)
        self.address, self._path = parts.netloc, parts.path
        disposition = 'Content-Disposition: form-data; name="image"; filename="x.jpeg"'
        head = f"--{_BOUNDARY}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
        self._body = head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()

    def connect(self) -> http.client.HTTPConnection:
        """A connection to the service; it opens with the first request."""
        return http.client.HTTPConnection(self.address, timeout=60)

    def post(
        self, connection: http.client.HTTPConnection
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Post the image; returns the complete response and its body.

        Raises:
            OSError, http.client.HTTPException: if the response is incomplete.
        """
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        connection.request("POST", self._path, self._body, headers)
        response = connection.getresponse()
        return response, response.read()


def post_image(url: str, image: bytes) -> Callable[[], Callable[[], object]]:
    """Work for `run_workers`: post an image over one connection per worker, and require a 200."""
    poster = ImagePoster(url, image)

    def make_work() -> Callable[[], object]:
        connection = poster.connect()

        def work() -> None:
            response, body = poster.post(connection)
            if response.status != 200:
                raise RuntimeError(f"expected 200, received {response.status}: {body[:200]!r}")

        return work

    return make_work
