"""Promote: move the one pointer, then bring its mirrors in line."""

import logging
from datetime import datetime

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import Artifact, ServedManifest, VerdictManifest
from pipeline.errors import ConflictError, GateRefusedError, InvalidInputError
from pipeline.steps.verdict import Verdict

log = logging.getLogger(__name__)


def promote(
    artifact: Artifact[VerdictManifest],
    registry: Registry,
    *,
    store: ArtifactStore,
    author: str,
    reason: str,
    when: datetime,
) -> Pointer:
    """Serve the model of a passed verdict.

    Raises:
        GateRefusedError: when the verdict is a refusal.
        ConflictError: when another model was promoted since: judge again against that one.
    """
    verdict = Verdict.model_validate_json(store.read(artifact, "verdict.json"))
    if not verdict.passed:
        failed = ", ".join(check.name for check in verdict.checks if not check.passed)
        raise GateRefusedError(f"the gate refused {verdict.tag}", received=failed)
    served = store.open(artifact.manifest.inputs["served"], ServedManifest)
    current = registry.read()
    if current is not None and current.tag == verdict.tag:
        log.info("promote: %s already serves", current.tag)
        return current
    if current != verdict.champion:
        raise ConflictError(
            f"{verdict.tag} was judged against another champion: judge it again",
            expected=verdict.champion.tag if verdict.champion else "no champion",
            received=current.tag if current else "no champion",
        )
    wanted = Pointer(
        sequence=0,
        name=verdict.name,
        tag=verdict.tag,
        served=served.uri,
        evaluation=artifact.manifest.inputs["evaluation"],
        verdict=artifact.uri,
        author=author,
        reason=reason,
        time=when,
    )
    moved = registry.move(wanted, current)
    log.info("promote: %s serves as move %d", moved.tag, moved.sequence)
    return moved


def rollback(registry: Registry, tag: str, *, author: str, reason: str, when: datetime) -> Pointer:
    """Point back to an earlier model: the one before this one, or the tag named.

    Raises:
        InvalidInputError: when the history knows no such model.
    """
    history = registry.history()
    current = registry.read()
    # Before the first time it served: after A, B, C and back to B, the model before it is A.
    tags = [entry.tag for entry in history]
    known = history if tag or current is None else history[: tags.index(current.tag)]
    earlier = [
        entry
        for entry in known
        if current is not None and entry.tag != current.tag and tag in ("", entry.tag)
    ]
    if current is None or not earlier:
        raise InvalidInputError(
            "no model to roll back to",
            expected=", ".join(sorted({entry.tag for entry in history})) or "a promoted model",
            received=tag or "the previous model",
        )
    update = {"author": author, "reason": reason, "time": when}
    return registry.move(earlier[-1].model_copy(update=update), current)
