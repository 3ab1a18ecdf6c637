"""Rules of the ledger: when a model may return after a rollback."""

from datetime import UTC, datetime

import pytest

from pipeline.adapters.pointer_store import Pointer
from pipeline.steps.promotion.repromotion_rules import rollback_refusal


@pytest.mark.parametrize(
    ("moves", "may_return"),
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
def test_a_model_may_not_return_after_a_rollback_from_it(moves: str, may_return: bool) -> None:
    """Until it serves again, by a promotion or a rollback."""
    fields = {"name": "cells", "served": "", "evaluation": "", "verdict": ""}
    decision = {"author": "ada", "reason": "blurred", "time": datetime(2026, 11, 1, tzinfo=UTC)}
    history = [
        Pointer.model_validate({"sequence": n, "kind": kind, "tag": tag, **fields, **decision})
        for n, (kind, tag) in enumerate((move.split(":") for move in moves.split()), 1)
    ]
    refusal = rollback_refusal(history, "b")
    assert (refusal == "") is may_return
    assert ("2026-11-01 00:00 UTC ada" in refusal) is not may_return
