"""A service whose real S3 becomes unreachable and recovers."""

import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import UriStore
from pipeline.adapters.storage.s3 import S3Store
from pipeline.embedded.processes.temporary_parts import on_free_ports, running
from pipeline.errors import UnreachableError
from pipeline.settings import Settings
from tests.integration.resilience.clients import counted, sending
from tests.integration.service.asking import worker_of
from tests.integration.waiting import wait_for
from tests.unit.steps.promotion.promotion_harness import PromotionHarness

pytestmark = pytest.mark.integration
OUTAGE_SECONDS = 20


def variables(settings: Settings) -> dict[str, str]:
    """Environment of a service that uses an S3."""
    return {
        "AWS_ENDPOINT_URL_S3": settings.aws_endpoint_url_s3,
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key.get_secret_value(),
        "POINTER_POLL_SECONDS": "0.05",
    }


@pytest.mark.slow
def test_an_unreachable_store_loses_no_request_no_record_and_no_promotion(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
    cell_image: Callable[..., bytes],
) -> None:
    """No request of eight clients fails; the log waits on disk; later everything is uploaded."""
    settings = on_free_ports(tmp_path / "stack")
    store = ArtifactStore(UriStore(settings), settings.store_uri)
    harness, stage = PromotionHarness(store, "blood_cells"), make_stage(tmp_path / "local")
    models = []
    with running(settings, "s3"):
        for seed in range(2):
            manifest = stage.publish(tmp_path / f"{seed}", seed).manifest
            models.append(store.publish(tmp_path / f"{seed}", manifest))
        harness.serve(models[0])
    with serve(tmp_path, settings.store_uri, **variables(settings)) as url, ExitStack() as stack:
        assert_without_model(url)
        with running(settings, "s3"):
            wait_for(lambda: status(url) == 200)
        with sending(url, cell_image(0)) as clients:
            wait_for(lambda: clients.requests > 100)
            before = worker_of(url).memory_info().rss / 1e6
            time.sleep(OUTAGE_SECONDS)
            assert worker_of(url).memory_info().rss / 1e6 - before < 50
            assert len(list((tmp_path / "home").rglob("*.jsonl"))) >= OUTAGE_SECONDS / 2
            stack.enter_context(running(settings, "s3"))
            moved = harness.serve(models[1])
            wait_for(lambda: clients.all_see(moved.tag))
        wait_for(lambda: len(logged(store)) == clients.requests)
        failed = counted(url, "leukoflow_pointer_failures_total")
        log = (tmp_path / "service.log").read_text()
    assert clients.failures == []
    assert clients.tags() == [[model.manifest.tag for model in models]] * 8
    assert failed >= 5
    unreachable, recovered = (
        log.count(f"with the pointer to the promoted model is {state}")
        for state in ("unreachable", "reachable again")
    )
    # Before the first start and between the two; a store that is starting may blink.
    assert 2 <= unreachable == recovered <= 6


def assert_without_model(url: str) -> None:
    """With an unreachable store at the start: live, not ready, and 503 `store_unreadable`."""
    assert httpx.get(f"{url}/livez").status_code == 200
    assert status(url) == 503
    wait_for(lambda: code(url) == "store_unreadable")


def code(url: str) -> str:
    """Error code of a request to /classify."""
    answer = httpx.post(f"{url}/classify", files={"image": ("x.png", b"1")}, timeout=30)
    assert answer.status_code == 503
    return str(answer.json()["error"]["code"])


def status(url: str) -> int:
    """Status of the readiness probe."""
    return httpx.get(f"{url}/readyz", timeout=30).status_code


def logged(store: ArtifactStore) -> list[bytes]:
    """Every line of the prediction log in the store."""
    segments = store.objects.list(f"{store.root}/logs/blood_cells/")
    return [line for item in segments for line in store.objects.read(item.uri).splitlines()]


def test_a_store_that_does_not_respond_times_out_within_seconds() -> None:
    """A store that accepts connections without responding delays a poll at most that long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = Settings(
            aws_endpoint_url_s3=f"http://127.0.0.1:{listener.getsockname()[1]}",
            aws_access_key_id="a",
            aws_secret_access_key=SecretStr("b"),
        )
        begun = time.monotonic()
        with pytest.raises(UnreachableError):
            S3Store(settings, fail_fast=True).read("s3://bucket/key")
    assert 5 < time.monotonic() - begun < 20
