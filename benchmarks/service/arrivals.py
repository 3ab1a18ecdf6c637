"""Callers that come at random, whether or not others have been answered.

`python -m benchmarks.service.arrivals URL IMAGE RATE SECONDS CALM` sends an image RATE times a
second and then, over CALM seconds, ten times a second; it writes `Arrival`s as a JSON list.
"""

import http.client
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter

from benchmarks.service.clients import form

CALM_RATE = 10.0
_CALLERS = 200
"""More than ever wait for an answer at once: the line takes 12, and says no to others at once."""


class Arrival(BaseModel):
    """One caller and its answer."""

    model_config = ConfigDict(frozen=True)

    at: float
    """Seconds from the first to when it was to come."""
    status: int
    """0 when the answer was not whole."""
    milliseconds: float
    """From when it was to come to its whole answer."""
    may_retry: bool
    """Whether the answer has a Retry-After."""


ARRIVALS = TypeAdapter(list[Arrival])


def random_times(rate: float, seconds: float, random: np.random.Generator) -> NDArray[np.float64]:
    """When callers come, as a Poisson process has it."""
    gaps = random.exponential(1 / rate, round(rate * seconds * 1.5) + 10)
    times = np.cumsum(gaps)
    return np.asarray(times[times < seconds])


def send(url: str, image: bytes, times: NDArray[np.float64]) -> list[Arrival]:
    """Let a caller come at each of the times, in seconds from now."""
    place, here = urlsplit(url), threading.local()
    body, headers = form(image)
    begun = time.perf_counter()

    def ask(at: float) -> Arrival:
        status, may_retry = 0, False
        try:
            connection = getattr(here, "connection", None)
            if connection is None:
                here.connection = connection = http.client.HTTPConnection(place.netloc, timeout=60)
            connection.request("POST", place.path, body, headers)
            answer = connection.getresponse()
            answer.read()
            status, may_retry = answer.status, "retry-after" in answer.headers
        except (OSError, http.client.HTTPException):
            here.connection = None
        spent = 1000 * (time.perf_counter() - begun - at)
        return Arrival(at=at, status=status, milliseconds=spent, may_retry=may_retry)

    with ThreadPoolExecutor(_CALLERS) as pool:
        asked = []
        for at in times:
            time.sleep(max(0.0, begun + at - time.perf_counter()))
            asked.append(pool.submit(ask, float(at)))
        return [one.result() for one in asked]


def main(url: str, image: str, rate: str, seconds: str, calm: str) -> None:
    """Send, and print what came back."""
    crowd = random_times(float(rate), float(seconds), np.random.default_rng(1))
    rest = np.arange(float(seconds), float(seconds) + float(calm), 1 / CALM_RATE)
    told = send(url, Path(image).read_bytes(), np.concatenate([crowd, rest]))
    json.dump([one.model_dump() for one in told], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
