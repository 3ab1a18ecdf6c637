"""Whether a part does its work, asked over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from pipeline.embedded import environment, ports
from pipeline.embedded.parts import Part
from pipeline.settings import Settings

_SECONDS = 5.0


def is_healthy(part: Part, settings: Settings, since: float) -> bool:
    """Whether a part answers and, where it only beats, has done so after `since` (Unix time)."""
    answer = _get(part.url(settings) + part.health)
    if answer is None:
        return False
    if part.name == "s3":
        return _holds_bucket(ports.variables(part, settings), environment.bucket(settings))
    return not part.heartbeat or beats(answer.json(), part.heartbeat, since)


def has_volumes(report: Mapping[str, Any]) -> bool:
    """Whether SeaweedFS's master has heard which volumes its volume server holds.

    Its S3 answers about a second earlier; an object read then is "not found" for several seconds,
    because the filer remembers the answer.
    """
    return bool(report.get("Topology", {}).get("DataCenters"))


def beats(report: Mapping[str, Any], component: str, since: float) -> bool:
    """Whether Airflow's health report shows a heartbeat of this start, not of the one before."""
    state = report.get(component, {})
    beat = state.get(f"latest_{component}_heartbeat")
    if state.get("status") != "healthy" or not beat:
        return False
    return datetime.fromisoformat(beat).timestamp() >= since


def _holds_bucket(numbers: Mapping[str, int], bucket: str) -> bool:
    """Whether SeaweedFS, whose S3 answers first, has its volumes and has made the bucket."""
    topology = _get(f"http://127.0.0.1:{numbers['MASTER_PORT']}/dir/status")
    made = _get(f"http://127.0.0.1:{numbers['FILER_PORT']}/buckets/{bucket}/?limit=1")
    return topology is not None and has_volumes(topology.json()) and made is not None


@cache
def _client() -> httpx.Client:
    """One for all: each reads all certificates it trusts, 40 ms of a core.

    It keeps no connection, since what it asks comes and goes.
    """
    none = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(timeout=_SECONDS, trust_env=False, limits=none)


def _get(url: str) -> httpx.Response | None:
    """The answer, when there is one and it is 200; no proxy, for these are loopback addresses."""
    try:
        answer = _client().get(url)
    except httpx.HTTPError:
        return None
    return answer if answer.status_code == httpx.codes.OK else None
