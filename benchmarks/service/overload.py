"""The service under random arrivals, up to five times what it can take, and told to end under load.

The callers are a process of their own, on the same cores as the service.
"""

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Row, single_row
from benchmarks.service.arrivals import ARRIVALS, Arrival, random_times
from benchmarks.service.clients import keep_busy, post_image
from benchmarks.service.graceful_shutdown import Ended, end_under_load
from benchmarks.service.promoted import promote
from benchmarks.service.served import served, supervisor
from benchmarks.service.serving import SATURATION
from pipeline.engine.engine import CONCURRENT_REQUESTS
from pipeline.sample.archive import draw_images
from pipeline.sample.laboratory import HOME

SECONDS, CALM = 8.0, 6.0
ENDINGS = 20


def rows() -> list[Row]:
    """Arrivals at shares of the capacity beside queueing theory, overload, and endings."""
    ((_, image),) = draw_images(1, 1, HOME)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = promote(folder).store
        (folder / "cell.jpeg").write_bytes(image)
        with served(folder / "loaded", store) as (url, _):
            found = _under_load(f"{url}/classify", folder / "cell.jpeg")
        endings = []
        # The embedded stack has no balancer to tell; elsewhere this much time is the default.
        with patch.dict(os.environ, {"DRAIN_SECONDS": "2"}):
            for turn in range(ENDINGS):
                with served(folder / f"ended-{turn}", store) as (url, _):
                    endings.append(end_under_load(url, image, supervisor(url)))
        return [*found, *_endings(endings)]


def _under_load(url: str, image: Path) -> list[Row]:
    busy = partial(keep_busy, post_image(url, image.read_bytes()))
    capacity = busy(SATURATION, SECONDS).rate
    # As many callers as the engine answers at once: nobody waits, so that they see service times.
    service = busy(CONCURRENT_REQUESTS, SECONDS).latencies
    found = [
        single_row(
            f"capacity: closed loop of {SATURATION} callers", capacity, "answers/s", "saturation"
        )
    ]
    for share in (0.5, 0.8):
        told = _arrivals(url, image, share * capacity, calm=0)
        queue = _queue(service, share * capacity)
        label = f"arrivals at {share:.0%} of capacity"
        found += _percentiles(
            label, told, f"M/G/{CONCURRENT_REQUESTS} with these service times", queue
        )
        found += _refused(label, told)
    busy_day = _accepted(told)
    for share in (2.0, 5.0):
        told = _arrivals(url, image, share * capacity, calm=CALM)
        crowd = [one for one in told if one.at < SECONDS]
        label = f"arrivals at {share:.0%} of capacity"
        found += _percentiles(label, crowd, "at 80 %", busy_day)
        found += _refused(label, crowd)
        rest = [one for one in told if one.at >= SECONDS]
        recovered = _recovery(rest, float(np.percentile(busy_day, 99)))
        found.append(single_row(f"recovery from {label}", recovered, "s", "until the p99 of 80 %"))
    return found


def _arrivals(url: str, image: Path, rate: float, *, calm: float) -> list[Arrival]:
    command = [sys.executable, "-m", "benchmarks.service.arrivals", url, str(image)]
    command += [str(rate), str(SECONDS), str(calm)]
    return ARRIVALS.validate_json(subprocess.check_output(command))


def _queue(service: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Times in a queue with random arrivals, one line and as many servers as the engine has.

    Args:
        service: times of service to draw from, in milliseconds.
        rate: arrivals a second.
    """
    random = np.random.default_rng(2)
    free = np.zeros(CONCURRENT_REQUESTS)
    spent = []
    for at in 1000 * random_times(rate, 20_000 / rate, random):
        first = int(free.argmin())
        free[first] = max(at, free[first]) + random.choice(service)
        spent.append(free[first] - at)
    return np.array(spent)


def _accepted(told: list[Arrival]) -> NDArray[np.float64]:
    return np.array([one.milliseconds for one in told if one.status == 200])


def _percentiles(
    label: str, told: list[Arrival], against: str, other: NDArray[np.float64]
) -> list[Row]:
    return [
        single_row(
            f"{label}, p{percentile}",
            float(np.percentile(_accepted(told), percentile)),
            "ms",
            f"{against}: {np.percentile(other, percentile):.0f} ms",
        )
        for percentile in (50, 95, 99)
    ]


def _refused(label: str, told: list[Arrival]) -> list[Row]:
    busy = [one for one in told if one.status == 429]
    odd = [one for one in told if one.status not in (200, 429)]
    polite = sum(one.may_retry for one in busy)
    return [
        single_row(
            f"{label}, refused with 429",
            100 * len(busy) / len(told),
            "%",
            f"{polite} of {len(busy)} with Retry-After; {len(odd)} other answers",
        )
    ]


def _recovery(rest: list[Arrival], limit: float) -> float:
    """Seconds from the end of the crowd until callers are answered as on any busy day."""
    late = [one.at for one in rest if one.status != 200 or one.milliseconds > limit]
    return max(late) - rest[0].at if late else 0.0


def _endings(seen: list[Ended]) -> list[Row]:
    lost = sum(len(one.lost) for one in seen)
    answered = sum(len(one.answered) for one in seen)
    name = f"SIGTERM under load, {len(seen)} times"
    first = max(one.unready - one.refused for one in seen)
    return [
        single_row(f"{name}: lost requests", lost, "requests", f"{answered} answered"),
        single_row(
            f"{name}: not ready, latest", max(one.unready for one in seen), "s", "target 1 s"
        ),
        single_row(f"{name}: not ready before closed, at least", -first, "s", "more than 0"),
        single_row(f"{name}: exit, slowest", max(one.exited for one in seen), "s", "target 30 s"),
    ]
