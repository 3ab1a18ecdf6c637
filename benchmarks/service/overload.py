"""The service under random arrivals, up to five times its capacity, and SIGTERM under load.

The clients are a separate process on the same cores as the service.
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

from benchmarks.images import drawn_jpeg
from benchmarks.measure import Row, single_row
from benchmarks.service.arrivals import ARRIVALS, Arrival, random_times
from benchmarks.service.clients import post_image, run_workers
from benchmarks.service.graceful_shutdown import Shutdown, end_under_load
from benchmarks.service.promoted_model import promote
from benchmarks.service.running_service import running_service, supervisor
from benchmarks.service.serving import SATURATION
from pipeline.engine.serving_engine import CONCURRENT_REQUESTS

SECONDS, RECOVERY_SECONDS = 8.0, 6.0
SHUTDOWNS = 20


def rows() -> list[Row]:
    """Latencies below capacity (with queueing theory) and above it, and graceful shutdowns."""
    image = drawn_jpeg()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = promote(folder).store
        (folder / "cell.jpeg").write_bytes(image)
        with running_service(folder / "loaded", store) as (url, _):
            loaded = _under_load(f"{url}/classify", folder / "cell.jpeg")
        shutdowns = []
        # The embedded stack has no load balancer and sets 0; elsewhere this is the default.
        with patch.dict(os.environ, {"DRAIN_SECONDS": "2"}):
            for turn in range(SHUTDOWNS):
                with running_service(folder / f"ended-{turn}", store) as (url, _):
                    shutdowns.append(end_under_load(url, image, supervisor(url)))
        return [*loaded, *_shutdown_rows(shutdowns)]


def _under_load(url: str, image: Path) -> list[Row]:
    """Rows below capacity, then above it, at multiples of the measured capacity."""
    load = partial(run_workers, post_image(url, image.read_bytes()))
    capacity = load(SATURATION, SECONDS).rate
    # With as many clients as concurrent requests in the engine no request waits in the queue.
    service_times = load(CONCURRENT_REQUESTS, SECONDS).latencies
    name = f"capacity: closed loop of {SATURATION} clients"
    rows = [single_row(name, capacity, "responses/s", "saturation")]
    theory = f"M/G/{CONCURRENT_REQUESTS} with these service times"
    for share in (0.5, 0.8):
        arrivals = _send(url, image, share * capacity, recovery=0)
        expected = _simulate_queue(service_times, share * capacity)
        rows += _share_rows(share, arrivals, theory, expected)
    at_80_percent = _accepted(arrivals)
    for share in (2.0, 5.0):
        arrivals = _send(url, image, share * capacity, recovery=RECOVERY_SECONDS)
        overload = [one for one in arrivals if one.at < SECONDS]
        rows += _share_rows(share, overload, "at 80 %", at_80_percent)
        after = [one for one in arrivals if one.at >= SECONDS]
        seconds = _recovery_seconds(after, float(np.percentile(at_80_percent, 99)))
        name = f"recovery from {_label(share)}"
        rows.append(single_row(name, seconds, "s", "until below the p99 of 80 %"))
    return rows


def _send(url: str, image: Path, rate: float, *, recovery: float) -> list[Arrival]:
    """Send requests at a rate from a separate process; returns their responses and times."""
    command = [sys.executable, "-m", "benchmarks.service.arrivals", url, str(image)]
    command += [str(rate), str(SECONDS), str(recovery)]
    return ARRIVALS.validate_json(subprocess.check_output(command))


def _simulate_queue(service_times: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Milliseconds in a queue with Poisson arrivals and `CONCURRENT_REQUESTS` servers.

    Args:
        service_times: milliseconds, sampled with replacement.
        rate: arrivals per second.
    """
    random = np.random.default_rng(2)
    free_at = np.zeros(CONCURRENT_REQUESTS)
    times = []
    for at in 1000 * random_times(rate, 20_000 / rate, random):
        server = int(free_at.argmin())
        free_at[server] = max(at, free_at[server]) + random.choice(service_times)
        times.append(free_at[server] - at)
    return np.array(times)


def _accepted(arrivals: list[Arrival]) -> NDArray[np.float64]:
    """Milliseconds of the requests with a 200."""
    return np.array([one.milliseconds for one in arrivals if one.status == 200])


def _label(share: float) -> str:
    return f"arrivals at {share:.0%} of capacity"


def _share_rows(
    share: float, arrivals: list[Arrival], baseline: str, expected: NDArray[np.float64]
) -> list[Row]:
    """Percentiles of the accepted requests, and the share of refused requests."""
    label, accepted = _label(share), _accepted(arrivals)
    refused = [one for one in arrivals if one.status == 429]
    others = [one for one in arrivals if one.status not in (200, 429)]
    n_retry_after = sum(one.may_retry for one in refused)
    return [
        *(
            single_row(
                f"{label}, p{percentile}",
                float(np.percentile(accepted, percentile)),
                "ms",
                f"{baseline}: {np.percentile(expected, percentile):.0f} ms",
            )
            for percentile in (50, 95, 99)
        ),
        single_row(
            f"{label}, refused with 429",
            100 * len(refused) / len(arrivals),
            "%",
            f"{n_retry_after} of {len(refused)} with Retry-After; {len(others)} other responses",
        ),
    ]


def _recovery_seconds(after: list[Arrival], limit: float) -> float:
    """Seconds from the end of the overload to the last refused or slow request."""
    late = [one.at for one in after if one.status != 200 or one.milliseconds > limit]
    return max(late) - after[0].at if late else 0.0


def _shutdown_rows(shutdowns: list[Shutdown]) -> list[Row]:
    """Lost requests and slowest times over several graceful shutdowns."""
    lost = sum(len(one.lost) for one in shutdowns)
    answered = sum(len(one.answered) for one in shutdowns)
    unready = max(one.unready for one in shutdowns)
    margin = min(one.refused - one.unready for one in shutdowns)
    exited = max(one.exited for one in shutdowns)
    name = f"SIGTERM under load, {len(shutdowns)} times"
    return [
        single_row(f"{name}: lost requests", lost, "requests", f"{answered} answered"),
        single_row(f"{name}: not ready, slowest", unready, "s", "target 1 s"),
        single_row(f"{name}: not ready before closed, minimum", margin, "s", "more than 0"),
        single_row(f"{name}: exit, slowest", exited, "s", "target 30 s"),
    ]
