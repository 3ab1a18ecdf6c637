"""Retried promotions: one move per decision, and nothing is taken back."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import ConflictError, GateRefusedError, StaleVerdictError
from pipeline.run_context import RunContext
from pipeline.steps.promotion.promote import PromotionResult
from tests.unit.steps.promotion.promotion_harness import RUN, Model, PromotionHarness


def test_a_repeated_promotion_takes_nothing_back(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """A newer model serves when a killed task is retried after its move."""
    verdict = harness.judge(models[0])
    harness.promote(verdict)
    newer = harness.serve(models[1])
    assert harness.promote_with_retry(verdict) == newer
    assert harness.pointers.read() == newer


def run_of(run_id: str) -> RunContext:
    """A run later than RUN."""
    return RunContext.now(run_id, "test")


def test_a_model_that_already_serves_is_unchanged(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """The gate compared it with itself, or another run promoted it after the gate."""
    early = harness.judge(models[0])
    harness.serve(models[0])
    late = harness.judge(models[0])
    again = harness.attempt(late, run=run_of("tuesday"))
    assert (again.outcome, again.pointer.sequence) == ("unchanged", 1)
    other = harness.attempt(early, run=run_of("other"))
    assert (other.outcome, other.pointer.sequence) == ("unchanged", 1)


def test_an_unchanged_run_that_is_cleared_takes_nothing_back(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """The gate did not compare its model with the newer one, and nobody approved it."""
    harness.serve(models[0])
    verdict, run = harness.judge(models[0]), run_of("monday")
    assert harness.attempt(verdict, run=run).outcome == "unchanged"
    newer = harness.serve(models[1])
    assert harness.attempt(verdict, run=run) == PromotionResult("unchanged", newer)
    assert harness.pointers.read() == newer


def test_a_second_gate_in_the_same_run_keeps_the_outcome(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """A run killed after its move and cleared from the gate on must still start a deployment."""
    run = run_of("monday")
    harness.attempt(harness.judge(models[0]), run=run)
    again = harness.attempt(harness.judge(models[0]), run=run)
    assert (again.outcome, again.pointer.sequence) == ("promoted", 1)


def test_a_retry_finds_its_own_promotion(harness: PromotionHarness, models: list[Model]) -> None:
    """A task killed after its move has promoted, even when a newer model serves by now."""
    verdict, run = harness.judge(models[0]), run_of("monday")
    for _ in range(2):
        assert harness.attempt(verdict, run=run).outcome == "promoted"
    newer = harness.serve(models[1])
    assert harness.attempt(verdict, run=run) == PromotionResult("promoted", newer)
    assert len(harness.pointers.history()) == 2


def test_a_retry_does_not_undo_a_rollback(harness: PromotionHarness, models: list[Model]) -> None:
    """Neither without approval, nor with an approval from before the rollback."""
    harness.serve(models[0])
    verdict, run = harness.judge(models[1]), run_of("monday")
    harness.attempt(verdict, approved_at=RUN.created_at - timedelta(hours=1), run=run)
    back = harness.back()
    for approved_at in (None, RUN.created_at - timedelta(hours=1)):
        with pytest.raises(GateRefusedError, match="somebody rolled back from this model"):
            harness.attempt(verdict, approved_at=approved_at, run=run)
    assert harness.pointers.read() == back


def test_an_approval_after_a_rollback_moves_the_pointer_again(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """The same verdict in the same run compares with the serving model."""
    harness.serve(models[0])
    verdict, run = harness.judge(models[1]), run_of("monday")
    harness.attempt(verdict, run=run)
    harness.back()
    made = harness.attempt(verdict, approved_at=datetime.now(UTC), run=run)
    assert (made.outcome, made.pointer.sequence) == ("promoted", 4)
    assert harness.pointers.read() == made.pointer
    assert made.pointer.tag == models[1].manifest.tag


def test_an_approved_stale_verdict_is_not_retried(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """StaleVerdictError is no ConflictError, which would be retried."""
    verdict, run = harness.judge(models[0]), run_of("monday")
    harness.attempt(verdict, run=run)
    newer = harness.serve(models[1])
    with pytest.raises(StaleVerdictError, match=r"clear the task `gate`.*expected no champion"):
        harness.attempt(verdict, approved_at=datetime.now(UTC), run=run)
    assert not issubclass(StaleVerdictError, ConflictError)
    assert harness.pointers.read() == newer
