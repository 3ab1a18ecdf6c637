"""Whether a part does its work: by what it answers over HTTP, the store by what it keeps."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from pipeline.adapters.storage import S3Store
from pipeline.embedded import object_store
from pipeline.embedded.parts import Part
from pipeline.errors import PipelineError
from pipeline.settings import Settings

_SECONDS = 5.0
_PROBE_KEY = ".health"
_PROBE = b"leukoflow\n" * 400
"""More than SeaweedFS could keep beside the name: it needs a volume, as real objects do."""


def is_healthy(part: Part, settings: Settings, since: float) -> bool:
    """Whether a part answers and, where it only beats, has done so after `since` (Unix time)."""
    answer = _get(part.url(settings) + part.health)
    if answer is None:
        return False
    if part.name == "s3":
        return stores(settings)
    return not part.heartbeat or beats(answer.json(), part.heartbeat, since)


def stores(settings: Settings) -> bool:
    """Whether the embedded store has made its bucket, takes an object and returns it.

    SeaweedFS's S3 answers about a second before its volumes are known; an object read then is "not
    found" for several seconds, because the filer remembers the answer. So the write comes first:
    it fails without a volume.
    """
    uri = f"s3://{object_store.bucket(settings)}/{_PROBE_KEY}"
    store = S3Store(settings, hurried=True)
    try:
        store.require_bucket(uri)
        store.write(uri, _PROBE)
        return store.read(uri) == _PROBE
    except PipelineError:
        return False


def beats(report: Mapping[str, Any], component: str, since: float) -> bool:
    """Whether Airflow's health report shows a heartbeat of this start, not of the one before."""
    state = report.get(component, {})
    beat = state.get(f"latest_{component}_heartbeat")
    if state.get("status") != "healthy" or not beat:
        return False
    return datetime.fromisoformat(beat).timestamp() >= since


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
