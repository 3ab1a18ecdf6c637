"""Who may be served, the way back, and what a kill leaves behind."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, ServedManifest
from pipeline.errors import (
    ArtifactError,
    ConflictError,
    GateRefusedError,
    InvalidInputError,
    StaleVerdictError,
)
from pipeline.run import RunContext
from pipeline.steps.promotion.promote import (
    MAX_ATTEMPTS,
    Promoted,
    promote_with_retry,
    rollback_check,
)
from tests.unit.steps.promotion.contest import RUN, Contest

Model = Artifact[ServedManifest]


@pytest.fixture
def contest(store: ArtifactStore) -> Contest:
    """A name that never served a model."""
    return Contest(store)


@pytest.fixture
def models(contest: Contest) -> list[Model]:
    """Three published models."""
    return [contest.model(number) for number in range(3)]


def test_a_passed_verdict_is_served(contest: Contest, models: list[Model]) -> None:
    """The pointer says what serves, on whose word and why."""
    verdict = contest.judge(models[0])
    moved = contest.promote(verdict)
    assert contest.registry.read() == moved
    assert (moved.tag, moved.served) == (models[0].manifest.tag, models[0].uri)
    assert (moved.verdict, moved.evaluation) == (verdict, "evaluation")
    assert (moved.author, moved.reason, moved.kind) == ("somebody", "it is better", "promotion")
    assert (moved.run_id, moved.time) == (RUN.run_id, RUN.created_at)


def test_a_refused_verdict_is_not_served(contest: Contest, models: list[Model]) -> None:
    """The error names the check, and the command line turns it into exit code 1."""
    verdict = contest.judge(models[0], passed=False)
    with pytest.raises(GateRefusedError, match=r"refused.*received parity") as refused:
        contest.promote(verdict)
    assert refused.value.exit_code == 1
    assert contest.registry.read() is None


def test_a_forged_verdict_is_not_served(contest: Contest, models: list[Model]) -> None:
    """Nobody turns a refusal into a pass by editing its file."""
    verdict = contest.judge(models[0], passed=False)
    path = Path(verdict) / "verdict.json"
    path.write_text(path.read_text().replace("false", "true"))
    with pytest.raises(ArtifactError, match=r"verdict.json does not match"):
        contest.promote(verdict)


def test_a_verdict_against_another_champion_is_stale(contest: Contest, models: list[Model]) -> None:
    """One promotion by it is refused, though its model would have passed."""
    verdicts = [contest.judge(model) for model in models[:2]]
    first = contest.promote(verdicts[0])
    with pytest.raises(ConflictError, match="judge it again; expected no champion") as stale:
        contest.promote(verdicts[1])
    assert stale.value.received == first.tag
    assert contest.registry.read() == first


def test_a_champion_that_left_and_came_back_makes_a_verdict_stale(
    contest: Contest, models: list[Model]
) -> None:
    """The same tag at another move is another situation."""
    contest.serve(models[0])
    verdict = contest.judge(models[1])
    contest.serve(models[2])
    contest.back()
    with pytest.raises(ConflictError, match="judge it again"):
        contest.promote(verdict)


def test_what_already_serves_is_left_alone(contest: Contest, models: list[Model]) -> None:
    """A retried task moves nothing and gets the same answer."""
    verdict = contest.judge(models[0])
    first = contest.promote(verdict)
    assert contest.promote(verdict) == first
    assert contest.registry.history() == [first]


def test_a_repeated_promotion_takes_nothing_back(contest: Contest, models: list[Model]) -> None:
    """A task that died after its promotion, and is retried after the next one, finds it done."""
    verdict = contest.judge(models[0])
    contest.promote(verdict)
    newer = contest.serve(models[1])
    assert contest.promote_with_retry(verdict) == newer
    assert contest.registry.read() == newer


def run_of(run_id: str) -> RunContext:
    """Another run, later than RUN."""
    return RunContext.now(run_id, "test")


def test_the_model_that_serves_is_unchanged(contest: Contest, models: list[Model]) -> None:
    """Judged against itself, or promoted by another run while its verdict waited: nothing moves."""
    early = contest.judge(models[0])
    contest.serve(models[0])
    late = contest.judge(models[0])
    again = contest.attempt(late, run=run_of("tuesday"))
    assert (again.outcome, again.pointer.sequence) == ("unchanged", 1)
    other = contest.attempt(early, run=run_of("other"))
    assert (other.outcome, other.pointer.sequence) == ("unchanged", 1)


def test_an_unchanged_run_that_is_cleared_takes_nothing_back(
    contest: Contest, models: list[Model]
) -> None:
    """Nobody compared its model with the one that was promoted since, nor was asked to approve."""
    contest.serve(models[0])
    verdict, run = contest.judge(models[0]), run_of("monday")
    assert contest.attempt(verdict, run=run).outcome == "unchanged"
    newer = contest.serve(models[1])
    assert contest.attempt(verdict, run=run) == Promoted("unchanged", newer)
    assert contest.registry.read() == newer


def test_a_run_that_is_judged_again_after_its_move_has_promoted(
    contest: Contest, models: list[Model]
) -> None:
    """It died before its event: cleared from the gate on, it must still start a deployment."""
    run = run_of("monday")
    contest.attempt(contest.judge(models[0]), run=run)
    again = contest.attempt(contest.judge(models[0]), run=run)
    assert (again.outcome, again.pointer.sequence) == ("promoted", 1)


def test_a_retry_finds_its_own_promotion(contest: Contest, models: list[Model]) -> None:
    """A task that died between its move and its answer has promoted, also once superseded."""
    verdict, run = contest.judge(models[0]), run_of("monday")
    for _ in range(2):
        assert contest.attempt(verdict, run=run).outcome == "promoted"
    newer = contest.serve(models[1])
    assert contest.attempt(verdict, run=run) == Promoted("promoted", newer)
    assert len(contest.registry.history()) == 2


def test_a_retry_does_not_undo_a_rollback(contest: Contest, models: list[Model]) -> None:
    """Neither of a gate's promotion nor of one that a person approved before the rollback."""
    contest.serve(models[0])
    verdict, run = contest.judge(models[1]), run_of("monday")
    contest.attempt(verdict, approved_at=RUN.created_at - timedelta(hours=1), run=run)
    back = contest.back()
    for approved_at in (None, RUN.created_at - timedelta(hours=1)):
        with pytest.raises(GateRefusedError, match="somebody rolled back from this model"):
            contest.attempt(verdict, approved_at=approved_at, run=run)
    assert contest.registry.read() == back


def test_an_approval_after_a_rollback_moves_the_pointer_again(
    contest: Contest, models: list[Model]
) -> None:
    """By the same verdict and in the same run: it compares with the model that serves."""
    contest.serve(models[0])
    verdict, run = contest.judge(models[1]), run_of("monday")
    contest.attempt(verdict, run=run)
    contest.back()
    made = contest.attempt(verdict, approved_at=datetime.now(UTC), run=run)
    assert (made.outcome, made.pointer.sequence) == ("promoted", 4)
    assert contest.registry.read() == made.pointer
    assert made.pointer.tag == models[1].manifest.tag


def test_an_approval_of_a_stale_verdict_is_refused_for_good(
    contest: Contest, models: list[Model]
) -> None:
    """Another model serves than the person saw: no ConflictError, which would be tried again."""
    verdict, run = contest.judge(models[0]), run_of("monday")
    contest.attempt(verdict, run=run)
    newer = contest.serve(models[1])
    with pytest.raises(StaleVerdictError, match=r"clear the task `gate`.*expected no champion"):
        contest.attempt(verdict, approved_at=datetime.now(UTC), run=run)
    assert not issubclass(StaleVerdictError, ConflictError)
    assert contest.registry.read() == newer


def test_a_verdict_of_mixed_names_is_refused(contest: Contest, store: ArtifactStore) -> None:
    """What an earlier version judged by another model's config never reaches a pointer."""
    mixed = Contest(store, "demo")
    verdict = mixed.judge(contest.model(1))
    with pytest.raises(InvalidInputError, match=r"of demo; received cells:.* of cells"):
        mixed.promote(verdict)
    assert mixed.registry.read() is None


def test_rollback_returns_to_the_model_before(contest: Contest, models: list[Model]) -> None:
    """One move further, with its own author, reason, run and time."""
    for model in models:
        contest.serve(model)
    moved = contest.back()
    assert (moved.tag, moved.served, moved.sequence) == (models[1].manifest.tag, models[1].uri, 4)
    assert (moved.author, moved.reason, moved.kind) == ("somebody", "it was better", "rollback")
    assert (moved.run_id, moved.time) == (RUN.run_id, RUN.created_at)
    assert contest.registry.read() == moved


def test_rollback_to_a_tag(contest: Contest, models: list[Model]) -> None:
    """Any model that ever served can serve again."""
    for model in models:
        contest.serve(model)
    assert contest.back(models[0].manifest.tag).served == models[0].uri


def test_rollback_to_nowhere_is_refused(contest: Contest, models: list[Model]) -> None:
    """Without history, with one model only, or to a tag that never served; the known are named."""
    with pytest.raises(InvalidInputError, match="expected a promoted model"):
        contest.back()
    contest.serve(models[0])
    with pytest.raises(InvalidInputError, match="received the previous model"):
        contest.back()
    with pytest.raises(InvalidInputError, match=f"expected {models[0].manifest.tag}.*received x:1"):
        contest.back("x:1")


def test_rolling_back_twice_goes_further_back(contest: Contest, models: list[Model]) -> None:
    """After A, B, C and back to B, the model before that is A, not the C just taken away."""
    for model in models:
        contest.serve(model)
    assert [contest.back().tag for _ in range(2)] == [models[n].manifest.tag for n in (1, 0)]
    with pytest.raises(InvalidInputError, match="no model to roll back to"):
        contest.back()


def test_rolling_back_to_what_serves_changes_nothing(contest: Contest, models: list[Model]) -> None:
    """A rollback that was killed after its move can be repeated by the tag."""
    for model in models:
        contest.serve(model)
    first = contest.back(models[0].manifest.tag)
    assert contest.back(models[0].manifest.tag) == first
    assert len(contest.registry.history()) == 4


def test_a_model_that_is_gone_is_not_rolled_back_to(contest: Contest, models: list[Model]) -> None:
    """The pointer never moves to a bundle that nobody could load."""
    for model in models[:2]:
        contest.serve(model)
    (Path(models[0].uri) / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no manifest"):
        contest.back()
    assert len(contest.registry.history()) == 2


def test_a_model_that_was_rolled_back_from_does_not_return_by_itself(
    contest: Contest, models: list[Model]
) -> None:
    """Training on unchanged data rebuilds it and the gate passes it; only a person returns it."""
    for model in models[:2]:
        contest.serve(model)
    champion = contest.back()
    verdict = contest.judge(models[1])
    with pytest.raises(GateRefusedError, match=r"somebody rolled back .*\(it was better\)"):
        contest.promote_with_retry(verdict)
    assert contest.registry.read() == champion
    assert contest.promote(verdict, approved=True).tag == models[1].manifest.tag


def test_approval_does_not_outweigh_the_gate(contest: Contest, models: list[Model]) -> None:
    """A person may say no to a pass, never yes to a refusal."""
    with pytest.raises(GateRefusedError):
        contest.promote(contest.judge(models[0], passed=False), approved=True)


@pytest.mark.parametrize(
    ("steps", "may"),
    [
        ("", True),
        ("promotion:b", True),
        ("promotion:a promotion:b", True),
        ("promotion:a promotion:b rollback:a", False),
        ("promotion:a promotion:b rollback:a promotion:c", False),
        ("promotion:a promotion:b rollback:a promotion:b", True),
        ("promotion:a promotion:b rollback:a rollback:b", True),
        ("promotion:a promotion:b rollback:a promotion:b promotion:c rollback:a", True),
        ("promotion:a promotion:b promotion:c rollback:a", True),
        ("promotion:a promotion:b rollback:a rollback:b rollback:a", False),
    ],
)
def test_the_last_word_on_a_model_decides_whether_it_may_return(steps: str, may: bool) -> None:
    """Not while it was a rollback from it; a return by a person's word ends that."""
    fields = {"name": "cells", "served": "", "evaluation": "", "verdict": ""}
    said = {"author": "ada", "reason": "blurred", "time": datetime(2026, 11, 1, tzinfo=UTC)}
    history = [
        Pointer.model_validate({"sequence": n, "kind": kind, "tag": tag, **fields, **said})
        for n, (kind, tag) in enumerate((step.split(":") for step in steps.split()), 1)
    ]
    check = rollback_check(history, "b")
    assert check.passed is may
    assert ("2026-11-01 00:00 UTC ada" in check.sentence) is not may


def test_of_two_promotions_at_once_the_loser_is_judged_again(tmp_path: Path) -> None:
    """A hundred races: both serve in the end, each judged against the one it replaced."""
    with ThreadPoolExecutor(2) as pool:
        for number in range(100):
            contest = Contest(ArtifactStore(LocalStore(), str(tmp_path / str(number))))
            verdicts = [contest.judge(contest.model(n)) for n in range(2)]
            list(pool.map(contest.promote_with_retry, verdicts))
            history = contest.registry.history()
            assert [move.sequence for move in history] == [1, 2]
            assert len({move.tag for move in history}) == 2
            assert [contest.champion_of(move) for move in history] == [None, history[0]]


def test_whoever_always_loses_gives_way() -> None:
    """A challenger is judged anew a few times, not for ever."""
    judged = []

    def lose(verdict: str) -> Pointer:
        raise ConflictError(f"{verdict} was judged against another champion")

    def judge(verdict: str) -> str:
        judged.append(verdict)
        return f"{verdict}'"

    with pytest.raises(ConflictError):
        promote_with_retry("v", lose, judge)
    assert judged == ["v" + "'" * n for n in range(MAX_ATTEMPTS - 1)]


class Deadly(LocalStore):
    """A store that ends the process before or after its n-th operation."""

    def __init__(self, last: int, *, before: bool) -> None:
        self._left, self._before = last, before

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return found if name.startswith("_") else self._counted(found)

    def _counted(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            self._left -= 1
            if self._before and self._left == 0:
                os._exit(137)
            answer = act(*given, **named)
            if self._left == 0:
                os._exit(137)
            return answer

        return counted


def killed(root: str, verdict: str, last: int, *, before: bool) -> bool:
    """Promote in a process that dies at an operation of its store; False when it outlives it."""

    def act() -> None:
        Contest(ArtifactStore(Deadly(last, before=before), root)).promote_with_retry(verdict)

    child = multiprocessing.get_context("fork").Process(target=act)
    child.start()
    child.join(30)
    assert child.exitcode in (0, 137)
    return child.exitcode == 137


def test_a_kill_leaves_the_old_or_the_new_model_and_a_repetition_converges(tmp_path: Path) -> None:
    """Before and after each operation of the store, on a stale verdict, which is judged again."""
    places = 0
    for before in (True, False):
        for last in range(1, 100):
            root = str(tmp_path / f"{last}-{before}")
            contest = Contest(ArtifactStore(LocalStore(), root))
            models = [contest.model(number) for number in range(3)]
            contest.serve(models[0])
            stale = contest.judge(models[2])
            old = contest.serve(models[1])
            if not killed(root, stale, last, before=before):
                break
            places += 1
            left = contest.registry.read()
            assert left is not None
            assert left == old or left.tag == models[2].manifest.tag
            assert contest.promote_with_retry(stale).tag == models[2].manifest.tag
            contest.registry.settle()
            history = contest.registry.history()
            assert [move.sequence for move in history] == [1, 2, 3]
            assert history[1] == old
            assert len(list((Path(root) / "pointer/cells/ledger").glob("[0-9]*.json"))) == 3
    assert places >= 40
