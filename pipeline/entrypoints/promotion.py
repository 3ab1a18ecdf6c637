"""Promotion entry points: promote a model that the gate judged, or roll back to an earlier one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore, PromotionRefusal
from pipeline.artifacts import Artifact, VerdictManifest
from pipeline.entrypoints.config_lookup import resolve_model_name
from pipeline.entrypoints.jobs.job import open_job, open_store, pointers_of
from pipeline.entrypoints.served_models import repair_if_possible
from pipeline.entrypoints.verdicts import gate
from pipeline.errors import GateRefusedError, TrackingError, UnreachableError
from pipeline.run_context import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.steps.promotion.promote import Authorization, PromotionReport, PromotionResult


def promote(
    config: str,
    run_id: str,
    verdict: str,
    decision: Mapping[str, Any],
    untracked: bool = False,
) -> "PromotionReport":
    """Promote a verdict's model, then update BentoML and MLflow; a refusal is returned, not raised.

    While MLflow is unreachable, a promotion fails, because MLflow would not show the new champion;
    a rollback does not wait. A mirror that cannot be written is a warning: the move stands.

    Args:
        config: path of a config to judge again by; empty takes the one that the challenger was
            trained by. The verdict names the model, not the config.
        run_id: recorded in the ledger; a retry under the same one finds its own move.
        verdict: URI of a verdict. When another model was promoted since, the challenger is judged
            again, against that one.
        decision: fields of an `Authorization`. With `approved_at`, the author approved this very
            verdict: it is not judged again but refused once it is stale, and it may return a model
            that was rolled back.
        untracked: promote although MLflow is unreachable; `repair` updates it later.

    Returns:
        The outcome: promoted, unchanged or refused. A refusal is recorded.

    Raises:
        UnreachableError: when MLflow is unreachable; nothing was moved.
        TrackingError: when MLflow refuses; has its reason, and nothing was moved.
        InvalidInputError: when the config belongs to another model.
        StaleVerdictError: when an approved verdict is stale.
    """
    from pipeline.steps.promotion.promote import Authorization, PromotionReport, promote_with_retry
    from pipeline.steps.promotion.promote import promote as step

    authorization = Authorization.model_validate(decision)
    store, run = open_store(), RunContext.now(run_id, code_version())
    opened = _open(verdict, config, run_id, store)
    pointers = pointers_of(opened.manifest.name, store)
    if not untracked:
        _require_tracking(opened, pointers, authorization, run_id, store)

    def attempt(uri: str) -> "PromotionResult":
        """Promote by the verdict at a URI."""
        return step(store.open(uri, VerdictManifest), pointers, authorization, store=store, run=run)

    def judge_again(uri: str) -> str:
        """Run the gate again for a verdict's challenger; returns the new verdict's URI."""
        inputs = store.open(uri, VerdictManifest).manifest.inputs
        return gate(config, run_id, inputs["evaluation"], inputs["served"])

    try:
        result = (
            attempt(verdict)
            if authorization.approved_at
            else promote_with_retry(verdict, attempt, judge_again)
        )
    except GateRefusedError as error:
        record_refusal(run_id, verdict, "gate", str(error))
        return PromotionReport(outcome="refused", sentence=str(error))
    repair_if_possible(pointers.name)
    return _summary(result, opened.manifest.tag)


def _summary(result: "PromotionResult", tag: str) -> "PromotionReport":
    """Outcome of a promotion with a sentence that describes it."""
    from pipeline.steps.promotion.promote import PromotionReport

    serving = f"{result.pointer.tag} serves (move {result.pointer.sequence})"
    if result.outcome == "unchanged":
        when = "is" if result.pointer.tag == tag else "was"
        sentence = f"the challenger {when} the champion (same bundle); {serving}"
    elif result.pointer.tag == tag:
        sentence = serving
    else:
        sentence = f"{tag} was promoted, and a newer model since; {serving}"
    return PromotionReport(outcome=result.outcome, sentence=sentence, served=result.pointer.served)


def _open(
    verdict: str, config: str, run_id: str, store: ArtifactStore
) -> Artifact[VerdictManifest]:
    """Read a verdict; InvalidInputError if a config is given and belongs to another model."""
    opened = store.open(verdict, VerdictManifest)
    if config:
        open_job(config, run_id).require_model(opened.manifest.name)
    return opened


def _require_tracking(
    opened: Artifact[VerdictManifest],
    pointers: PointerStore,
    authorization: "Authorization",
    run_id: str,
    store: ArtifactStore,
) -> None:
    """Raise if the promotion would move the pointer and MLflow cannot record it.

    A deleted experiment is restored.

    Raises:
        UnreachableError: MLflow is unreachable.
        TrackingError: MLflow refuses; has its reason.
    """
    from pipeline.adapters.tracking.runs import Tracking
    from pipeline.steps.promotion.repromotion_rules import earlier_outcome
    from pipeline.steps.promotion.verdict import read_verdict

    judged, moves = read_verdict(opened, store), pointers.history()
    if not judged.passed or earlier_outcome(judged, moves, run_id, authorization.approved_at):
        return
    try:
        Tracking(load_settings().mlflow_tracking_uri, pointers.name).require_experiment()
    except UnreachableError as error:
        refused = isinstance(error, TrackingError)
        raise type(error)(
            f"nothing was promoted; the verdict {opened.uri} stands: promote it once "
            f"{'this is corrected' if refused else 'MLflow is reachable'}, or now with "
            f"--untracked. {error}"
        ) from error


def record_refusal(run_id: str, verdict: str, author: str, reason: str) -> str:
    """Record who refused a promotion and why; returns the entry's URI."""
    store = open_store()
    judged = store.open(verdict, VerdictManifest).manifest
    refusal = PromotionRefusal(
        verdict=verdict,
        tag=judged.tag,
        author=author,
        reason=reason,
        run_id=run_id,
        time=datetime.now(UTC),
    )
    return pointers_of(judged.name, store).record_refusal(refusal)


def rollback(name: str, tag: str, author: str, reason: str, run_id: str = "rollback") -> Pointer:
    """Serve an earlier model again: changes the pointer, then updates BentoML and MLflow.

    Args:
        name: model name; empty takes the tag's, else MODEL_NAME.
        tag: `<name>:<version>`; empty takes the previous model.
        author: recorded in the ledger.
        reason: recorded in the ledger.
        run_id: recorded in the ledger.

    Raises:
        InvalidInputError: when the name is not the tag's, or the model never served.
    """
    from pipeline.steps.promotion.promote import Authorization
    from pipeline.steps.promotion.rollback import rollback as step

    store = open_store()
    run = RunContext.now(run_id, code_version())
    pointers = pointers_of(resolve_model_name(name, tag), store)
    authorization = Authorization(author=author, reason=reason, approved_at=run.created_at)
    pointer = step(pointers, tag, authorization, store=store, run=run)
    repair_if_possible(pointers.name)
    return pointer
