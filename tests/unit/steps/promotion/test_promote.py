"""Promotion: which verdicts move the pointer."""

from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.errors import ArtifactError, ConflictError, GateRefusedError, InvalidInputError
from tests.unit.steps.promotion.promotion_harness import RUN, Model, PromotionHarness


def test_a_passed_verdict_moves_the_pointer(harness: PromotionHarness, models: list[Model]) -> None:
    """The pointer has the model, the author, the reason and the run."""
    verdict = harness.judge(models[0])
    moved = harness.promote(verdict)
    assert harness.pointers.read() == moved
    assert (moved.tag, moved.served) == (models[0].manifest.tag, models[0].uri)
    assert (moved.verdict, moved.evaluation) == (verdict, "evaluation")
    assert (moved.author, moved.reason, moved.kind) == ("somebody", "it is better", "promotion")
    assert (moved.run_id, moved.time) == (RUN.run_id, RUN.created_at)


def test_a_refused_verdict_moves_nothing(harness: PromotionHarness, models: list[Model]) -> None:
    """The error names the failed check, and has exit code 1."""
    verdict = harness.judge(models[0], passed=False)
    with pytest.raises(GateRefusedError, match=r"refused.*received parity") as refused:
        harness.promote(verdict)
    assert refused.value.exit_code == 1
    assert harness.pointers.read() is None


def test_an_edited_verdict_moves_nothing(harness: PromotionHarness, models: list[Model]) -> None:
    """Its file does not match the manifest."""
    verdict = harness.judge(models[0], passed=False)
    path = Path(verdict) / "verdict.json"
    path.write_text(path.read_text().replace("false", "true"))
    with pytest.raises(ArtifactError, match=r"verdict.json does not match"):
        harness.promote(verdict)


def test_a_verdict_against_another_champion_is_stale(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """Another model was promoted after the gate."""
    verdicts = [harness.judge(model) for model in models[:2]]
    first = harness.promote(verdicts[0])
    with pytest.raises(ConflictError, match="run the gate again; expected no champion") as stale:
        harness.promote(verdicts[1])
    assert stale.value.received == first.tag
    assert harness.pointers.read() == first


def test_a_champion_that_returned_by_rollback_makes_a_verdict_stale(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """The tag is the same, the move is another."""
    harness.serve(models[0])
    verdict = harness.judge(models[1])
    harness.serve(models[2])
    harness.back()
    with pytest.raises(ConflictError, match="run the gate again"):
        harness.promote(verdict)


def test_promoting_twice_moves_once(harness: PromotionHarness, models: list[Model]) -> None:
    """A retried task gets the same result."""
    verdict = harness.judge(models[0])
    first = harness.promote(verdict)
    assert harness.promote(verdict) == first
    assert harness.pointers.history() == [first]


def test_a_verdict_of_mixed_names_is_refused(
    harness: PromotionHarness, store: ArtifactStore
) -> None:
    """A verdict for `demo` on a bundle of `cells` reaches no pointer."""
    mixed = PromotionHarness(store, "demo")
    verdict = mixed.judge(harness.model(1))
    with pytest.raises(InvalidInputError, match=r"of demo; received cells:.* of cells"):
        mixed.promote(verdict)
    assert mixed.pointers.read() is None


def test_approval_does_not_override_a_refusal(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """A person may reject a passed model, but not approve a refused one."""
    with pytest.raises(GateRefusedError):
        harness.promote(harness.judge(models[0], passed=False), approved=True)
