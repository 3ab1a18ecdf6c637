"""Open-loop clients: requests arrive at random times, whether or not earlier ones are answered.

`python -m benchmarks.service.arrivals URL IMAGE RATE SECONDS RECOVERY` sends an image at RATE
requests per second and then, for RECOVERY seconds, ten per second; it writes `Arrival`s as a JSON
list.
"""

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from benchmarks.service.clients import ImagePoster
from pipeline.records import Frozen

RECOVERY_RATE = 10.0
_MAX_CLIENTS = 200
"""More than ever wait at once: the work queue has 12 slots and refuses other requests at once."""


class Arrival(Frozen):
    """One request and its response."""

    at: float
    """Scheduled time, in seconds from the start."""
    status: int
    """0 if the response was incomplete."""
    milliseconds: float
    """From the scheduled time to the complete response."""
    may_retry: bool
    """Whether the response has a Retry-After header."""


ARRIVALS = TypeAdapter(list[Arrival])


def random_times(rate: float, seconds: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Arrival times of a Poisson process, in seconds."""
    gaps = random.exponential(1 / rate, round(rate * seconds * 1.5) + 10)
    times = np.cumsum(gaps)
    return np.asarray(times[times < seconds])


def send(url: str, image: bytes, times: NDArray[np.float64]) -> list[Arrival]:
    """Post the image at each of the times, in seconds from now."""
    poster, local = ImagePoster(url, image), threading.local()
    start = time.perf_counter()

    def request(at: float) -> Arrival:
        status, may_retry = 0, False
        try:
            connection = getattr(local, "connection", None)
            if connection is None:
                local.connection = connection = poster.connect()
            response, _ = poster.post(connection)
            status, may_retry = response.status, "retry-after" in response.headers
        except (OSError, http.client.HTTPException):
            local.connection = None
        elapsed = 1000 * (time.perf_counter() - start - at)
        return Arrival(at=at, status=status, milliseconds=elapsed, may_retry=may_retry)

    with ThreadPoolExecutor(_MAX_CLIENTS) as pool:
        futures = []
        for at in times:
            time.sleep(max(0.0, start + at - time.perf_counter()))
            futures.append(pool.submit(request, float(at)))
        return [future.result() for future in futures]


def main(url: str, image: str, rate: str, seconds: str, recovery: str) -> None:
    """Send the requests and print the arrivals."""
    load = random_times(float(rate), float(seconds), np.random.default_rng(1))
    rest = np.arange(float(seconds), float(seconds) + float(recovery), 1 / RECOVERY_RATE)
    arrivals = send(url, Path(image).read_bytes(), np.concatenate([load, rest]))
    json.dump([arrival.model_dump() for arrival in arrivals], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
