"""Concurrent and killed promotions."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.adapters.storage import LocalStore
from pipeline.errors import ConflictError
from pipeline.steps.promotion.promote import MAX_ATTEMPTS, promote_with_retry
from tests.unit.steps.promotion.promotion_harness import PromotionHarness


def test_the_loser_of_two_concurrent_promotions_is_compared_again(tmp_path: Path) -> None:
    """In a hundred races both models serve in turn, each compared with its predecessor."""
    with ThreadPoolExecutor(2) as pool:
        for number in range(100):
            harness = PromotionHarness(ArtifactStore(LocalStore(), str(tmp_path / str(number))))
            verdicts = [harness.judge(harness.model(n)) for n in range(2)]
            list(pool.map(harness.promote_with_retry, verdicts))
            history = harness.pointers.history()
            assert [move.sequence for move in history] == [1, 2]
            assert len({move.tag for move in history}) == 2
            assert [harness.champion_of(move) for move in history] == [None, history[0]]


def test_the_number_of_attempts_is_limited() -> None:
    """A challenger that loses every race gets `MAX_ATTEMPTS` attempts."""
    judged = []

    def lose(verdict: str) -> Pointer:
        raise ConflictError(f"{verdict} has another champion")

    def judge(verdict: str) -> str:
        judged.append(verdict)
        return f"{verdict}'"

    with pytest.raises(ConflictError):
        promote_with_retry("v", lose, judge)
    assert judged == ["v" + "'" * n for n in range(MAX_ATTEMPTS - 1)]


class KillingStore(LocalStore):
    """A store that exits the process before or after its n-th operation."""

    def __init__(self, last: int, *, before: bool) -> None:
        self._left, self._before = last, before

    def __getattribute__(self, name: str) -> Any:
        attribute = super().__getattribute__(name)
        return attribute if name.startswith("_") else self._counted(attribute)

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._before and self._left == 0:
                os._exit(137)
            result = operation(*args, **kwargs)
            if self._left == 0:
                os._exit(137)
            return result

        return counted


def killed(root: str, verdict: str, last: int, *, before: bool) -> bool:
    """Promote in a process that exits at the n-th store operation; False when it has fewer."""

    def run() -> None:
        PromotionHarness(ArtifactStore(KillingStore(last, before=before), root)).promote_with_retry(
            verdict
        )

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(30)
    assert child.exitcode in (0, 137)
    return child.exitcode == 137


def test_a_promotion_killed_anywhere_can_be_repeated(tmp_path: Path) -> None:
    """After a kill the old or the new model serves, and a repetition gives the same ledger."""
    kills = 0
    for before in (True, False):
        for last in range(1, 100):
            root = str(tmp_path / f"{last}-{before}")
            harness = PromotionHarness(ArtifactStore(LocalStore(), root))
            models = [harness.model(number) for number in range(3)]
            harness.serve(models[0])
            stale = harness.judge(models[2])
            old = harness.serve(models[1])
            if not killed(root, stale, last, before=before):
                break
            kills += 1
            left = harness.pointers.read()
            assert left is not None
            assert left == old or left.tag == models[2].manifest.tag
            assert harness.promote_with_retry(stale).tag == models[2].manifest.tag
            harness.pointers.read_and_record()
            history = harness.pointers.history()
            assert [move.sequence for move in history] == [1, 2, 3]
            assert history[1] == old
            assert len(list((Path(root) / "pointer/cells/ledger").glob("[0-9]*.json"))) == 3
    assert kills >= 40
