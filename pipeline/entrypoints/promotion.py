"""From evaluation to what is served: gate, promotion, rollback, repair and history."""

import logging
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Refusal, Registry
from pipeline.artifacts import EvaluationManifest, ServedManifest, VerdictManifest
from pipeline.entrypoints.job import code_version, open_job, open_store
from pipeline.entrypoints.pages import address, publish
from pipeline.errors import GateRefusedError, PipelineError, UnreachableError
from pipeline.run import RunContext
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.steps.history import Reign

log = logging.getLogger(__name__)


def gate(config: str, run_id: str, evaluation: str, served: str) -> str:
    """Judge the challenger and publish the verdict; a refusal is returned, not raised."""
    from pipeline.steps.gate import gate as step
    from pipeline.steps.verdict_tracking import track_verdict

    job = open_job(config, run_id)
    judged = job.store.open(evaluation, EvaluationManifest)
    opened = job.store.open(served, ServedManifest)
    artifact, verdict = step(
        judged, opened, job.registry.read(), job.config, store=job.store, run=job.run
    )
    badge = "passed" if verdict.passed else "refused"
    page = publish(job, artifact, "verdicts", "verdict.html", badge)
    log.info("verdict page: %s", address(page, job.store, job.settings.reports_url))
    if tracked := opened.manifest.tracking_run:
        try:
            track_verdict(job.tracking, tracked, verdict, artifact, store=job.store)
        except UnreachableError as error:
            log.warning("the verdict is not on its MLflow run: %s", error)
    return artifact.uri


def verdict_passed(verdict: str) -> bool:
    """Whether the gate let the challenger pass."""
    return open_store().open(verdict, VerdictManifest).manifest.passed


def verdict_markdown(verdict: str) -> str:
    """The verdict as a Markdown table, with what the ledger says of its model."""
    from pipeline.steps.promote import standing_check
    from pipeline.steps.verdict import Verdict
    from pipeline.steps.verdict_report import markdown

    store = open_store()
    body = store.read(store.open(verdict, VerdictManifest), "verdict.json")
    judged = Verdict.model_validate_json(body)
    standing = standing_check(_registry(judged.name, store).history(), judged.tag)
    if standing.passed:
        return markdown(judged)
    return f"{markdown(judged)}\n\n**Mind:** {standing.sentence}"


def promote(
    config: str,
    run_id: str,
    verdict: str,
    author: str,
    reason: str,
    approved: bool = False,
    untracked: bool = False,
) -> str:
    """Move the pointer and repair its mirrors; returns the URI of what is served now.

    While MLflow is away a promotion is held, since nobody could look up there what serves; a
    rollback never waits.

    Args:
        config: path of the run's config.
        run_id: recorded in the ledger.
        verdict: URI of a verdict. When another model was promoted since, the challenger is judged
            again, against that one.
        author: who promotes.
        reason: why.
        approved: `author` read this very verdict: it is not judged again but refused once it is
            stale, and it may return a model that was rolled back from.
        untracked: promote although MLflow does not answer; `repair` tells it later.

    Raises:
        UnreachableError: when MLflow does not answer; nothing was moved.
        GateRefusedError: when a verdict is a refusal, or the model was rolled back from; the
            refusal is recorded.
        ConflictError: when an approved verdict is stale.
    """
    from pipeline.steps.promote import Decision, contend
    from pipeline.steps.promote import promote as step

    decision = Decision(author=author, reason=reason, approved=approved)
    if not untracked and verdict_passed(verdict):
        _await_tracking(config, run_id, verdict)

    def attempt(uri: str) -> Pointer:
        job = open_job(config, run_id)
        artifact = job.store.open(uri, VerdictManifest)
        return step(artifact, job.registry, decision, store=job.store, run=job.run)

    def judge(uri: str) -> str:
        inputs = open_store().open(uri, VerdictManifest).manifest.inputs
        return gate(config, run_id, inputs["evaluation"], inputs["served"])

    try:
        pointer = attempt(verdict) if approved else contend(verdict, attempt, judge)
    except GateRefusedError as error:
        record_refusal(config, run_id, verdict, "gate", str(error))
        raise
    _repair_if_possible(pointer.name)
    return pointer.served


def _await_tracking(config: str, run_id: str, verdict: str) -> None:
    """Hold a promotion while MLflow is away; one that was made before needs no wait."""
    job = open_job(config, run_id)
    if any(move.verdict == verdict for move in job.registry.history()):
        return
    try:
        job.tracking.reach()
    except UnreachableError as error:
        raise UnreachableError(
            f"the promotion is held, and the verdict {verdict} stands: promote it once MLflow is "
            f"back, or now with --untracked. {error}"
        ) from error


def repair(name: str) -> Pointer | None:
    """Bring ledger, BentoML store and MLflow alias to what the pointer says; returns the pointer.

    Safe at any time and as often as wanted: promotion and rollback end with it, and whatever
    interrupted them is put right by the next call.

    Raises:
        UnreachableError: when MLflow is away; the others are in line by then.
    """
    settings = load_settings()
    store = open_store(settings)
    registry = _registry(name, store)
    while (pointer := registry.settle()) is not None:
        _mirror(pointer, settings, store)
        # Of two who mirror at once, the last to write looks once more and sees the newer move.
        if registry.read() == pointer:
            break
    return pointer


def _repair_if_possible(name: str) -> None:
    """A mirror that lags does not undo a move: the pointer alone says what is served."""
    try:
        repair(name)
    except PipelineError as error:
        log.warning("the mirrors lag behind the pointer, `leukoflow repair` follows: %s", error)


def _mirror(pointer: Pointer, settings: Settings, store: ArtifactStore) -> None:
    from pipeline.adapters.bento import mirror
    from pipeline.adapters.tracking import Tracking

    served = store.open(pointer.served, ServedManifest)
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(served, Path(folder) / "served")
        mirror(settings, files, pointer.tag, {"sequence": str(pointer.sequence)})
        tracking = Tracking(settings.mlflow_tracking_uri, pointer.name)
        tracking.champion(pointer.name, served.manifest.tracking_run, pointer.tag, files)
    log.info("mirrored %s (move %d)", pointer.tag, pointer.sequence)


def record_refusal(config: str, run_id: str, verdict: str, author: str, reason: str) -> str:
    """Write down who refused a promotion and why; returns the entry's URI."""
    job = open_job(config, run_id)
    refusal = Refusal(
        verdict=verdict,
        tag=job.store.open(verdict, VerdictManifest).manifest.tag,
        author=author,
        reason=reason,
        run_id=run_id,
        time=job.run.created_at,
    )
    return job.registry.refuse(refusal)


def rollback(name: str, tag: str, author: str, reason: str, run_id: str = "rollback") -> Pointer:
    """Serve an earlier model again."""
    from pipeline.steps.promote import Decision
    from pipeline.steps.promote import rollback as step

    store = open_store()
    run = RunContext.now(run_id, code_version())
    decision = Decision(author=author, reason=reason, approved=True)
    pointer = step(_registry(name, store), tag, decision, store=store, run=run)
    _repair_if_possible(name)
    return pointer


def history(name: str) -> "list[Reign]":
    """What served when, who moved the pointer and why; oldest first."""
    from pipeline.steps.history import reigns

    return reigns(_registry(name, open_store()).history(), datetime.now(UTC))


def refusals(name: str) -> list[Refusal]:
    """Which judged models were kept from serving, by whom and why; oldest first."""
    return _registry(name, open_store()).refusals()


def served_now(name: str) -> Pointer | None:
    """What is served under a name."""
    return _registry(name, open_store()).read()


def _registry(name: str, store: ArtifactStore) -> Registry:
    return Registry(store.objects, store.root, name)
