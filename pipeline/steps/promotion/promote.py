"""Promote: move the one pointer forwards on a verdict, unless its model serves already."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal, TypeVar

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import Artifact, ServedManifest, VerdictManifest
from pipeline.errors import (
    ConflictError,
    GateRefusedError,
    InvalidInputError,
    StaleVerdictError,
)
from pipeline.records import Frozen
from pipeline.run import RunContext
from pipeline.steps.promotion.verdict import Check, GateVerdict, read_verdict

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 8
"""How often a challenger is judged before it gives way; each lost turn is another's promotion."""


Outcome = Literal["promoted", "unchanged", "refused", "failed"]
"""How a training or a promotion ends. `unchanged`: the challenger serves already, so that there is
nothing to deploy. `failed`: there was no decision."""
Result = TypeVar("Result")


class Promotion(Frozen):
    """How a promotion ended, for DAG, command line and retrain request alike."""

    outcome: Outcome
    sentence: str
    """The same for people, with the tag."""
    served: str = ""
    """URI of the bundle that serves now; empty when the model was refused."""


class Authorization(Frozen):
    """On whose word the pointer moves."""

    author: str
    reason: str
    approved_at: datetime | None = None
    """When a person approved this very verdict, if one did: it holds for no other, and it outweighs
    the rollbacks before it."""


@dataclass(frozen=True)
class Promoted:
    """A verdict that was acted on, and what serves now."""

    outcome: Outcome
    pointer: Pointer


def promote_with_retry(
    verdict: str, attempt: Callable[[str], Result], judge: Callable[[str], str]
) -> Result:
    """Promote on a verdict, or on a new one whenever another model was promoted first.

    Args:
        verdict: URI of the first verdict.
        attempt: one promotion by the verdict of a URI.
        judge: judges the challenger of a verdict against what serves now.

    Raises:
        GateRefusedError: when a verdict, first or later, is a refusal.
        ConflictError: when it lost `MAX_ATTEMPTS` times.
    """
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return attempt(verdict)
        except ConflictError as lost:
            log.info("promote: judging again, for %s", lost)
            verdict = judge(verdict)
    return attempt(verdict)


def promote(
    artifact: Artifact[VerdictManifest],
    registry: Registry,
    authorization: Authorization,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Promoted:
    """Serve the model of a passed verdict; a retry of the same run finds its own move.

    Raises:
        GateRefusedError: when the verdict is a refusal, or the model was rolled back from.
        ConflictError: when another model was promoted since: judge again against that one.
        StaleVerdictError: the same for a verdict that a person approved.
        InvalidInputError: when verdict, served bundle and registry are not of one model.
    """
    verdict = read_verdict(artifact, store)
    if not verdict.passed:
        raise GateRefusedError(
            f"the gate refused {verdict.tag}", received=", ".join(verdict.failed)
        )
    served = store.open(artifact.manifest.inputs["served"], ServedManifest)
    _require_one_model(verdict, served)
    history = registry.history()
    outcome = earlier_outcome(verdict, history, run.run_id, authorization.approved_at)
    if outcome is not None:
        log.info("promote: %s; %s serves", outcome, history[-1].tag)
        return Promoted(outcome, history[-1])
    _require_standing(verdict, history, authorization)
    current = history[-1] if history else None
    _require_fresh(verdict, current, authorization)
    wanted = Pointer(
        sequence=0,
        name=verdict.name,
        tag=verdict.tag,
        served=served.uri,
        evaluation=artifact.manifest.inputs["evaluation"],
        verdict=artifact.uri,
        author=authorization.author,
        reason=authorization.reason,
        time=run.created_at,
        run_id=run.run_id,
    )
    moved = registry.move(wanted, current)
    log.info("promote: %s serves as move %d", moved.tag, moved.sequence)
    return Promoted("promoted", moved)


def earlier_outcome(
    verdict: GateVerdict, history: Sequence[Pointer], run_id: str, approved_at: datetime | None
) -> Outcome | None:
    """How a promotion ended before it began, or None while the pointer is still to move.

    Args:
        verdict: a passed one.
        history: every move, oldest first.
        run_id: of the promotion. A move that this run made was made by a try of it that ended
            before it could say so.
        approved_at: of the authorization; an earlier move was not made on this approval.

    Returns:
        `promoted` when this run moved the pointer to the model and nobody rolled back from it
            since, also when a newer model serves by now: a retry takes nothing back, and one that
            judged again after the move finds it, too. `unchanged` when the model serves by another
            run's move, or did so when it was judged: nobody compared it with a newer one, and
            nobody was asked to approve it.
    """
    own = [m for m in history if (m.kind, m.tag, m.run_id) == ("promotion", verdict.tag, run_id)]
    if history and history[-1].tag == verdict.tag:
        return "promoted" if history[-1] in own else "unchanged"
    retried = any(approved_at is None or move.time >= approved_at for move in own)
    if retried and _rolled_back(history, verdict.tag) is None:
        return "promoted"
    return "unchanged" if verdict.unchanged and approved_at is None else None


def _require_one_model(verdict: GateVerdict, served: Artifact[ServedManifest]) -> None:
    received = (served.manifest.name, served.manifest.tag)
    if received != (verdict.name, verdict.tag):
        raise InvalidInputError(
            "the verdict is on another model than the bundle it names",
            expected=f"{verdict.tag} of {verdict.name}",
            received=f"{received[1]} of {received[0]}",
        )


def _require_standing(
    verdict: GateVerdict, history: Sequence[Pointer], authorization: Authorization
) -> None:
    standing = rollback_check(history, verdict.tag, authorization.approved_at)
    if not standing.passed:
        raise GateRefusedError(f"{verdict.tag} is not promoted. {standing.sentence}")


def _require_fresh(
    verdict: GateVerdict, current: Pointer | None, authorization: Authorization
) -> None:
    """The champion must be the one that the verdict compares with.

    For a person who read the comparison the bundle counts; without one the move counts too, since
    judging again costs nobody anything.
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
            f"{verdict.tag} was judged against another champion: judge it again",
            expected=expected,
            received=received,
        )


def rollback_check(
    history: Sequence[Pointer], tag: str, approved_at: datetime | None = None
) -> Check:
    """Whether a model may return: not while the last word on it was a rollback from it.

    Training again on unchanged data rebuilds the same model, and the gate, which sees the same
    held-out cells, would pass it again. What a person saw wrong with it is not in those cells.

    Args:
        history: every move, oldest first.
        tag: the model that is to be served.
        approved_at: when a person approved it; rollbacks up to then do not count.
    """
    taken = _rolled_back(history, tag)
    if taken is not None and approved_at is not None and taken.time <= approved_at:
        taken = None
    said = taken and (
        f"On {taken.time:%Y-%m-%d %H:%M} UTC {taken.author} rolled back from this model "
        f"({taken.reason}): only a person's approval returns it."
    )
    return Check(
        name="not rolled back",
        value=float(taken is None),
        threshold=1.0,
        passed=taken is None,
        sentence=said or "Nobody rolled back from this model.",
    )


def _rolled_back(history: Sequence[Pointer], tag: str) -> Pointer | None:
    """The rollback from a model, unless it served again afterwards."""
    taken = None
    for before, after in pairwise(history):
        if after.tag == tag:
            taken = None
        elif before.tag == tag and after.kind == "rollback":
            taken = after
    return taken
