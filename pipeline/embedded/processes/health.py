"""Health checks of parts: HTTP status, Airflow's heartbeats, and a write and read of the store."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from pipeline.adapters.storage import S3Store
from pipeline.embedded import seaweedfs_access
from pipeline.embedded.parts import Part
from pipeline.errors import PipelineError
from pipeline.http.client import open_client
from pipeline.settings import Settings

_TIMEOUT_SECONDS = 5.0
_PROBE_KEY = ".health"
_PROBE = b"leukoflow\n" * 400
"""Too large for SeaweedFS to keep inline with the name: it needs a volume, as real objects do."""


def is_healthy(part: Part, settings: Settings, started_at: float) -> bool:
    """Whether a part answers 200 now; False on any error.

    The store must also complete a round trip, and an Airflow component without a port must have
    sent a heartbeat after `started_at` (Unix time).
    """
    response = _get(part.url(settings) + part.health)
    if response is None:
        return False
    if part.name == "s3":
        return store_works(settings)
    return not part.heartbeat or sent_heartbeat(response.json(), part.heartbeat, started_at)


def store_works(settings: Settings) -> bool:
    """Write an object to the embedded store and read it back; False on any error.

    SeaweedFS's S3 gateway answers about a second before its volumes are ready. An object read then
    is "not found" for several seconds, because the filer caches the answer. So the probe writes
    first: a write fails without a volume.
    """
    uri = f"s3://{seaweedfs_access.bucket(settings)}/{_PROBE_KEY}"
    store = S3Store(settings, fail_fast=True)
    try:
        store.require_bucket(uri)
        store.write(uri, _PROBE)
        return store.read(uri) == _PROBE
    except PipelineError:
        return False


def sent_heartbeat(report: Mapping[str, Any], component: str, started_at: float) -> bool:
    """Whether Airflow's health report has a heartbeat of a component after `started_at`."""
    state = report.get(component, {})
    heartbeat = state.get(f"latest_{component}_heartbeat")
    if state.get("status") != "healthy" or not heartbeat:
        return False
    return datetime.fromisoformat(heartbeat).timestamp() >= started_at


@cache
def _client() -> httpx.Client:
    """HTTP client, shared within the process because loading the certificates takes 40 ms.

    It keeps no connection alive, because the servers start and stop, and uses no proxy: all their
    addresses are loopback.
    """
    no_keepalive = httpx.Limits(max_keepalive_connections=0)
    return open_client("http://127.0.0.1", timeout=_TIMEOUT_SECONDS, limits=no_keepalive)


def _get(url: str) -> httpx.Response | None:
    """Response of a GET if its status is 200; None on any error."""
    try:
        response = _client().get(url)
    except httpx.HTTPError:
        return None
    return response if response.status_code == httpx.codes.OK else None
