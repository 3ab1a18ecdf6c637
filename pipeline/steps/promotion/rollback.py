"""Rollback: move the pointer back to an earlier model, on a person's decision."""

import logging
from collections.abc import Sequence

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.artifacts import ServedManifest
from pipeline.errors import InvalidInputError
from pipeline.run_context import RunContext
from pipeline.steps.promotion.promote import Authorization

log = logging.getLogger(__name__)


def rollback(
    pointers: PointerStore,
    tag: str,
    authorization: Authorization,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Pointer:
    """Point to an earlier model and return the pointer; changes nothing if the model serves.

    An empty tag takes the model that served before the serving one.

    Raises:
        InvalidInputError: when the ledger has no such model.
        ArtifactError: when the bundle is missing from the store.
        ConflictError: when the pointer changed since it was read.
    """
    history = pointers.history()
    if history and tag == history[-1].tag:
        log.info("rollback: %s already serves", tag)
        return history[-1]
    earlier = _earlier(history, tag)
    store.open(earlier.served, ServedManifest)
    update = {
        "author": authorization.author,
        "reason": authorization.reason,
        "time": run.created_at,
        "run_id": run.run_id,
        "kind": "rollback",
    }
    moved = pointers.move(earlier.model_copy(update=update), history[-1])
    log.info("rollback: %s serves as move %d", moved.tag, moved.sequence)
    return moved


def _earlier(history: Sequence[Pointer], tag: str) -> Pointer:
    """Last pointer to `tag`, or to the previous model if empty; InvalidInputError if none."""
    tags = [move.tag for move in history]
    # After A, B, C and back to B, the model before B is A.
    candidates = history if tag or not tags else history[: tags.index(tags[-1])]
    moves = [move for move in candidates if tag in ("", move.tag)]
    if not moves:
        raise InvalidInputError(
            "no model to roll back to",
            expected=", ".join(sorted(set(tags))) or "a promoted model",
            received=tag or "the previous model",
        )
    return moves[-1]
