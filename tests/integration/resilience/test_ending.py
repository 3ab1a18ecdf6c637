"""Graceful shutdown of a real BentoML process under load."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.service.graceful_shutdown import end_under_load
from tests.integration.service.asking import answers, supervisor_of, worker_of
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("shape", range(3))
def test_graceful_shutdown_loses_no_request(
    shape: int,
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    cell_image: Callable[..., bytes],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """Not ready first, then closed; accepted requests are completed and logged; then it exits."""
    stage = make_stage(tmp_path / "store")
    stage.point_to(stage.publish(tmp_path / "bundle"))
    with serve(tmp_path, stage.root, DRAIN_SECONDS="3") as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        ended = end_under_load(url, cell_image(shape), supervisor_of(url))
    assert ended.lost == []
    assert set(ended.others) <= {429}
    assert ended.unready < 3 <= ended.refused
    assert ended.exited < 30
    assert len(ended.answered) > 10
    logged = "".join(path.read_text() for path in (stage.root / "logs").rglob("*.jsonl"))
    assert [one for one in ended.answered if one not in logged] == []


@pytest.fixture
def ready(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> Iterator[str]:
    """URL of a service with a model."""
    stage = make_stage(tmp_path / "store")
    stage.point_to(stage.publish(tmp_path / "bundle"))
    with serve(tmp_path, stage.root) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        yield url


def test_a_terminated_worker_is_replaced(ready: str) -> None:
    """The next worker listens again on the socket that the previous one shut down."""
    first = worker_of(ready)
    first.terminate()
    wait_for(lambda: not first.is_running(), 25)
    wait_for(lambda: answers(f"{ready}/readyz"), 60)


def test_a_killed_worker_is_replaced_at_once(ready: str) -> None:
    """Connections in the meantime wait in the kernel and are served."""
    first = worker_of(ready)
    first.kill()
    first.wait(5)
    assert httpx.get(f"{ready}/livez", timeout=30).status_code == 200
    wait_for(lambda: answers(f"{ready}/readyz"), 30)
