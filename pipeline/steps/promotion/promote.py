"""Promote: point to the model of a passed verdict, unless it serves already."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.artifacts import Artifact, ServedManifest, VerdictManifest
from pipeline.errors import (
    ConflictError,
    GateRefusedError,
    InvalidInputError,
    StaleVerdictError,
)
from pipeline.records import Frozen
from pipeline.run_context import RunContext
from pipeline.steps.promotion.repromotion_rules import Outcome, earlier_outcome, rollback_refusal
from pipeline.steps.promotion.verdict import GateVerdict, read_verdict

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 8
"""Each failed attempt is another model's promotion."""

Result = TypeVar("Result")


class PromotionReport(Frozen):
    """Outcome of a promotion as DAG, command line and retrain request show it."""

    outcome: Outcome
    sentence: str
    """The result for people, with the tag."""
    served: str = ""
    """URI of the bundle that serves now; empty when the model was refused."""


class Authorization(Frozen):
    """Who decided to promote or roll back, why, and when a person approved."""

    author: str
    reason: str
    approved_at: datetime | None = None
    """When a person approved this verdict; None without approval. An approval is valid for no other
    verdict, and permits a model that was rolled back from before."""


@dataclass(frozen=True)
class PromotionResult:
    """Outcome of a promotion, and the pointer afterwards."""

    outcome: Outcome
    pointer: Pointer


def promote_with_retry(
    verdict: str, attempt: Callable[[str], Result], run_gate: Callable[[str], str]
) -> Result:
    """Promote on a verdict; after a conflict run the gate and try again, at most 8 times in all.

    Args:
        verdict: URI of the first verdict.
        attempt: promotes by the verdict of a URI.
        run_gate: runs the gate again for a verdict's challenger; returns the new verdict's URI.

    Raises:
        GateRefusedError: when a verdict is a refusal.
        ConflictError: when `MAX_ATTEMPTS` attempts met a conflict.
    """
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return attempt(verdict)
        except ConflictError as conflict:
            log.info("promote: running the gate again after a conflict: %s", conflict)
            verdict = run_gate(verdict)
    return attempt(verdict)


def promote(
    artifact: Artifact[VerdictManifest],
    pointers: PointerStore,
    authorization: Authorization,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> PromotionResult:
    """Point to a passed verdict's model; raises for a refusal or conflict; idempotent per run.

    Raises:
        GateRefusedError: when the verdict is a refusal, or the model was rolled back from.
        ConflictError: when another model was promoted since the verdict: run the gate again.
        StaleVerdictError: the same for a verdict that a person approved.
        InvalidInputError: when verdict, served bundle and pointer store belong to different models.
    """
    verdict = read_verdict(artifact, store)
    if not verdict.passed:
        raise GateRefusedError(
            f"the gate refused {verdict.tag}", received=", ".join(verdict.failed)
        )
    served = store.open(artifact.manifest.inputs["served"], ServedManifest)
    _require_same_model(verdict, served)
    history = pointers.history()
    outcome = earlier_outcome(verdict, history, run.run_id, authorization.approved_at)
    if outcome is not None:
        log.info("promote: %s; %s serves", outcome, history[-1].tag)
        return PromotionResult(outcome, history[-1])
    refusal = rollback_refusal(history, verdict.tag, authorization.approved_at)
    if refusal:
        raise GateRefusedError(f"{verdict.tag} is not promoted. {refusal}")
    current = history[-1] if history else None
    _require_current(verdict, current, authorization)
    moved = pointers.move(_pointer(verdict, artifact, authorization, run), current)
    log.info("promote: %s serves as move %d", moved.tag, moved.sequence)
    return PromotionResult("promoted", moved)


def _pointer(
    verdict: GateVerdict,
    artifact: Artifact[VerdictManifest],
    authorization: Authorization,
    run: RunContext,
) -> Pointer:
    """New pointer to a verdict's model; `PointerStore.move` sets its sequence."""
    return Pointer(
        sequence=0,
        name=verdict.name,
        tag=verdict.tag,
        served=artifact.manifest.inputs["served"],
        evaluation=artifact.manifest.inputs["evaluation"],
        verdict=artifact.uri,
        author=authorization.author,
        reason=authorization.reason,
        time=run.created_at,
        run_id=run.run_id,
    )


def _require_same_model(verdict: GateVerdict, served: Artifact[ServedManifest]) -> None:
    """Raise InvalidInputError if the verdict and its served bundle are of two models."""
    received = (served.manifest.name, served.manifest.tag)
    if received != (verdict.name, verdict.tag):
        raise InvalidInputError(
            "the verdict belongs to another model than its bundle",
            expected=f"{verdict.tag} of {verdict.name}",
            received=f"{received[1]} of {received[0]}",
        )


def _require_current(
    verdict: GateVerdict, current: Pointer | None, authorization: Authorization
) -> None:
    """Raise StaleVerdictError or ConflictError if the verdict's champion no longer serves.

    An approved verdict is valid while the same model serves, since a person read the comparison. A
    verdict without approval is valid only until the next move, since the gate can run again.
    """
    champion = verdict.champion
    expected = champion.tag if champion else "no champion"
    received = current.tag if current else "no champion"
    if authorization.approved_at is not None and expected != received:
        raise StaleVerdictError(
            f"the approved verdict on {verdict.tag} is stale, since another model was promoted: "
            "clear the task `gate` and all after it, or run `leukoflow gate EVALUATION SERVED`, "
            "and approve the new verdict",
            expected=expected,
            received=received,
        )
    if authorization.approved_at is None and current != champion:
        raise ConflictError(
            f"the verdict on {verdict.tag} compares it with another champion: run the gate again",
            expected=expected,
            received=received,
        )
