"""Promote: move the one pointer, forwards on a verdict or back on a person's word."""

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import Artifact, ServedManifest, VerdictManifest
from pipeline.errors import ConflictError, GateRefusedError, InvalidInputError
from pipeline.records import Frozen
from pipeline.run import RunContext
from pipeline.steps.verdict import Check, Verdict

log = logging.getLogger(__name__)
TURNS = 8
"""How often a challenger is judged before it gives way; each lost turn is another's promotion."""


class Decision(Frozen):
    """On whose word the pointer moves."""

    author: str
    reason: str
    approved: bool = False
    """A person read this very verdict: it holds for no other, and outweighs an earlier rollback."""


def contend(
    verdict: str, attempt: Callable[[str], Pointer], judge: Callable[[str], str]
) -> Pointer:
    """Promote on a verdict, or on a new one whenever another model was promoted first.

    Args:
        verdict: URI of the first verdict.
        attempt: one promotion by the verdict of a URI.
        judge: judges the challenger of a verdict against what serves now.

    Raises:
        GateRefusedError: when a verdict, first or later, is a refusal.
        ConflictError: when it lost `TURNS` times.
    """
    for _ in range(TURNS - 1):
        try:
            return attempt(verdict)
        except ConflictError as lost:
            log.info("promote: judging again, for %s", lost)
            verdict = judge(verdict)
    return attempt(verdict)


def promote(
    artifact: Artifact[VerdictManifest],
    registry: Registry,
    decision: Decision,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Pointer:
    """Serve the model of a passed verdict; a promotion that was made once changes nothing.

    Raises:
        GateRefusedError: when the verdict is a refusal, or the model was rolled back from.
        ConflictError: when another model was promoted since: judge again against that one.
    """
    verdict = Verdict.model_validate_json(store.read(artifact, "verdict.json"))
    if not verdict.passed:
        raise GateRefusedError(
            f"the gate refused {verdict.tag}", received=", ".join(verdict.failed)
        )
    served = store.open(artifact.manifest.inputs["served"], ServedManifest)
    history = registry.history()
    current = history[-1] if history else None
    if current is not None and _was_done(artifact.uri, verdict.tag, history):
        log.info("promote: done before; %s serves", current.tag)
        return current
    standing = standing_check(history, verdict.tag)
    if not (standing.passed or decision.approved):
        raise GateRefusedError(f"{verdict.tag} is not promoted. {standing.sentence}")
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
        author=decision.author,
        reason=decision.reason,
        time=run.created_at,
        run_id=run.run_id,
    )
    moved = registry.move(wanted, current)
    log.info("promote: %s serves as move %d", moved.tag, moved.sequence)
    return moved


def _was_done(verdict: str, tag: str, history: Sequence[Pointer]) -> bool:
    """Whether the model serves, or served by this verdict: a retry takes nothing back."""
    moves = ((move.kind, move.verdict) for move in history)
    return history[-1].tag == tag or ("promotion", verdict) in moves


def standing_check(history: Sequence[Pointer], tag: str) -> Check:
    """Whether a model may return: not while the last word on it was a rollback from it.

    Training again on unchanged data rebuilds the same model, and the gate, which sees the same
    held-out cells, would pass it again. What a person saw wrong with it is not in those cells.

    Args:
        history: every move, oldest first.
        tag: the model that is to be served.
    """
    taken = None
    for before, after in pairwise(history):
        if after.tag == tag:
            taken = None
        elif before.tag == tag and after.kind == "rollback":
            taken = after
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


def rollback(
    registry: Registry, tag: str, decision: Decision, *, store: ArtifactStore, run: RunContext
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
        "author": decision.author,
        "reason": decision.reason,
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
