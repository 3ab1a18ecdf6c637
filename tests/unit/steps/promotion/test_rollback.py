"""Rollback: to the model before or to a tag, and the return after it."""

from pathlib import Path

import pytest

from pipeline.errors import ArtifactError, GateRefusedError, InvalidInputError
from tests.unit.steps.promotion.promotion_harness import RUN, Model, PromotionHarness


def test_rollback_returns_to_the_model_before(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """The rollback is a move with its own author, reason, run and time."""
    for model in models:
        harness.serve(model)
    moved = harness.back()
    assert (moved.tag, moved.served, moved.sequence) == (models[1].manifest.tag, models[1].uri, 4)
    assert (moved.author, moved.reason, moved.kind) == ("somebody", "it was better", "rollback")
    assert (moved.run_id, moved.time) == (RUN.run_id, RUN.created_at)
    assert harness.pointers.read() == moved


def test_rollback_to_a_tag(harness: PromotionHarness, models: list[Model]) -> None:
    """Any model that served before can serve again."""
    for model in models:
        harness.serve(model)
    assert harness.back(models[0].manifest.tag).served == models[0].uri


def test_rollback_without_an_earlier_model_is_refused(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """With no model, one model, or an unknown tag; the error lists the known tags."""
    with pytest.raises(InvalidInputError, match="expected a promoted model"):
        harness.back()
    harness.serve(models[0])
    with pytest.raises(InvalidInputError, match="received the previous model"):
        harness.back()
    with pytest.raises(InvalidInputError, match=f"expected {models[0].manifest.tag}.*received x:1"):
        harness.back("x:1")


def test_rolling_back_twice_goes_further_back(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """After A, B, C and a rollback to B, the model before B is A."""
    for model in models:
        harness.serve(model)
    assert [harness.back().tag for _ in range(2)] == [models[n].manifest.tag for n in (1, 0)]
    with pytest.raises(InvalidInputError, match="no model to roll back to"):
        harness.back()


def test_rolling_back_to_the_serving_model_moves_nothing(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """A rollback killed after its move can be repeated by tag."""
    for model in models:
        harness.serve(model)
    first = harness.back(models[0].manifest.tag)
    assert harness.back(models[0].manifest.tag) == first
    assert len(harness.pointers.history()) == 4


def test_a_missing_bundle_is_not_rolled_back_to(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """The pointer never moves to a bundle that cannot be loaded."""
    for model in models[:2]:
        harness.serve(model)
    (Path(models[0].uri) / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no manifest"):
        harness.back()
    assert len(harness.pointers.history()) == 2


def test_a_model_returns_after_a_rollback_only_with_approval(
    harness: PromotionHarness, models: list[Model]
) -> None:
    """Training on unchanged data gives the same model, and the gate passes it again."""
    for model in models[:2]:
        harness.serve(model)
    champion = harness.back()
    verdict = harness.judge(models[1])
    with pytest.raises(GateRefusedError, match=r"somebody rolled back .*\(it was better\)"):
        harness.promote_with_retry(verdict)
    assert harness.pointers.read() == champion
    assert harness.promote(verdict, approved=True).tag == models[1].manifest.tag
