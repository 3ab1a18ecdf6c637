"""Rules for promoting a model again: a retry of a promotion, and a model that was rolled back."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal

from pipeline.adapters.pointer_store import Pointer
from pipeline.steps.promotion.verdict import GateVerdict

Outcome = Literal["promoted", "unchanged", "refused", "failed"]
"""Result of a training or a promotion. `unchanged`: the challenger serves already, and nothing is
to deploy. `failed`: there was no decision."""


def earlier_outcome(
    verdict: GateVerdict, history: Sequence[Pointer], run_id: str, approved_at: datetime | None
) -> Outcome | None:
    """Outcome of a promotion that is already done; None when the pointer must change.

    Args:
        verdict: a passed one.
        history: every move, oldest first.
        run_id: run of the promotion. Its own earlier moves were made by a try that was killed
            before it could report them.
        approved_at: time of a person's approval; earlier moves were not made on it.

    Returns:
        `promoted` when this run moved the pointer to the model and nobody rolled back from it
            since, even when a newer model serves by now: a retry takes nothing back. `unchanged`
            when the model serves by another run's move, or served when the gate compared it: the
            gate compared it with no newer model, and nobody approved it.
    """
    own = [m for m in history if (m.kind, m.tag, m.run_id) == ("promotion", verdict.tag, run_id)]
    if history and history[-1].tag == verdict.tag:
        return "promoted" if history[-1] in own else "unchanged"
    is_retry = any(approved_at is None or move.time >= approved_at for move in own)
    if is_retry and _rolled_back(history, verdict.tag) is None:
        return "promoted"
    return "unchanged" if verdict.unchanged and approved_at is None else None


def rollback_refusal(
    history: Sequence[Pointer], tag: str, approved_at: datetime | None = None
) -> str:
    """Why a model that was rolled back may not be promoted again; '' if it may.

    Training again on unchanged data gives the same model, and the gate passes it again: the reason
    for the rollback is not in the test cells. A person's approval after the rollback permits it.

    Args:
        history: every move, oldest first.
        tag: the model to promote.
        approved_at: time of a person's approval.
    """
    move = _rolled_back(history, tag)
    if move is None or (approved_at is not None and move.time <= approved_at):
        return ""
    return (
        f"On {move.time:%Y-%m-%d %H:%M} UTC {move.author} rolled back from this model "
        f"({move.reason}): only a person's approval can promote it again."
    )


def _rolled_back(history: Sequence[Pointer], tag: str) -> Pointer | None:
    """The last rollback from a model, unless the model served again afterwards."""
    rollback = None
    for before, after in pairwise(history):
        if after.tag == tag:
            rollback = None
        elif before.tag == tag and after.kind == "rollback":
            rollback = after
    return rollback
