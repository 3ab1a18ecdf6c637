"""Rollback: point back to an earlier model, on a person's word."""

import logging
from collections.abc import Sequence

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import ServedManifest
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.steps.promotion.promote import Authorization

log = logging.getLogger(__name__)


def rollback(
    registry: Registry,
    tag: str,
    authorization: Authorization,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Pointer:
    """Point back to an earlier model: the one before this one, or the tag named.

    Raises:
        InvalidInputError: when the history knows no such model.
        ArtifactError: when that model is no longer in the store.
        ConflictError: when somebody moved the pointer meanwhile.
    """
    history = registry.history()
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
    moved = registry.move(earlier.model_copy(update=update), history[-1])
    log.info("rollback: %s serves as move %d", moved.tag, moved.sequence)
    return moved


def _earlier(history: Sequence[Pointer], tag: str) -> Pointer:
    """The last move to a tag, without one the move before what serves now first served."""
    tags = [entry.tag for entry in history]
    # Before the first time it served: after A, B, C and back to B, the model before it is A.
    known = history if tag or not tags else history[: tags.index(tags[-1])]
    found = [entry for entry in known if tag in ("", entry.tag)]
    if not found:
        raise InvalidInputError(
            "no model to roll back to",
            expected=", ".join(sorted(set(tags))) or "a promoted model",
            received=tag or "the previous model",
        )
    return found[-1]
