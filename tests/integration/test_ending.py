"""A real BentoML process that is told to end while callers ask."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ending import end_under_load
from tests.integration.asking import answers, supervisor_of, wait_for, worker_of

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.mark.parametrize("turn", range(3))
def test_nothing_is_lost_when_the_service_ends(
    turn: int,
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    cell_image: Callable[..., bytes],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """It is unready before it closes, answers all it let in, logs every answer, and ends."""
    stage = make_stage(tmp_path / "store")
    stage.point_to(stage.publish(tmp_path / "bundle"))
    with serve(tmp_path, stage.root, DRAIN_SECONDS="3") as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        ended = end_under_load(url, cell_image(turn), supervisor_of(url))
    assert ended.lost == []
    assert set(ended.others) <= {429}
    assert ended.unready < 3 <= ended.refused
    assert ended.exited < 30
    assert len(ended.answered) > 10
    logged = "".join(path.read_text() for path in (stage.root / "logs").rglob("*.jsonl"))
    assert [one for one in ended.answered if one not in logged] == []


def test_a_worker_that_ends_alone_is_replaced(
    tmp_path: Path,
    make_stage: Callable[[Path], Any],
    serve: Callable[..., AbstractContextManager[str]],
) -> None:
    """The door that a worker shut is opened again by the worker that follows it."""
    stage = make_stage(tmp_path / "store")
    stage.point_to(stage.publish(tmp_path / "bundle"))
    with serve(tmp_path, stage.root) as url:
        wait_for(lambda: answers(f"{url}/readyz"))
        first = worker_of(url)
        first.terminate()
        wait_for(lambda: not first.is_running(), 25)
        wait_for(lambda: answers(f"{url}/readyz"), 60)
