"""From evaluation to what is served: gate, promotion, rollback and history."""

import json
import logging
import tempfile
from pathlib import Path

from pipeline.adapters.registry import Pointer, Registry
from pipeline.artifacts import EvaluationManifest, ServedManifest, VerdictManifest
from pipeline.config import RunConfig
from pipeline.entrypoints.job import Job, code_version, open_job, open_store
from pipeline.entrypoints.pages import publish
from pipeline.errors import ConflictError, UnreachableError
from pipeline.run import RunContext
from pipeline.settings import load_settings

log = logging.getLogger(__name__)


def gate(config: str, run_id: str, evaluation: str, served: str) -> str:
    """Judge the challenger and publish the verdict; a refusal is returned, not raised."""
    from pipeline.steps.gate import gate as step

    job = open_job(config, run_id)
    judged = job.store.open(evaluation, EvaluationManifest)
    opened = job.store.open(served, ServedManifest)
    artifact, verdict = step(
        judged, opened, job.registry.read(), job.config, store=job.store, run=job.run
    )
    badge = "passed" if verdict.passed else "refused"
    page = publish(job, artifact, "verdicts", "verdict.html", badge)
    log.info("verdict page: %s", page)
    return artifact.uri


def verdict_passed(verdict: str) -> bool:
    """Whether the gate let the challenger pass."""
    return open_store().open(verdict, VerdictManifest).manifest.passed


def verdict_markdown(verdict: str) -> str:
    """The verdict as a Markdown table."""
    from pipeline.steps.verdict import Verdict, markdown

    store = open_store()
    body = store.read(store.open(verdict, VerdictManifest), "verdict.json")
    return markdown(Verdict.model_validate_json(body))


def promote(config: str, run_id: str, verdict: str, author: str, reason: str) -> str:
    """Move the pointer and repair its mirrors; returns the URI of what is served now."""
    from pipeline.steps.promote import promote as step

    job = open_job(config, run_id)
    pointer = step(
        job.store.open(verdict, VerdictManifest),
        job.registry,
        store=job.store,
        author=author,
        reason=reason,
        when=job.run.created_at,
    )
    mirror(job, pointer)
    return pointer.served


def mirror(job: Job, pointer: Pointer) -> None:
    """Bring the MLflow alias and the BentoML store in line with the pointer."""
    from pipeline.adapters.bento import mirror as mirror_bento

    served = job.store.open(pointer.served, ServedManifest)
    with tempfile.TemporaryDirectory() as folder:
        files = job.store.fetch(served, Path(folder) / "served")
        mirror_bento(job.settings, files, pointer.tag, {"sequence": str(pointer.sequence)})
    if served.manifest.tracking_run:
        try:
            job.tracking.champion(pointer.name, served.manifest.tracking_run, pointer.tag)
        except UnreachableError as error:
            log.warning("the MLflow alias lags behind the pointer: %s", error)


def record_refusal(config: str, run_id: str, verdict: str, author: str, reason: str) -> str:
    """Write down who refused a promotion and why; returns the entry's URI."""
    job = open_job(config, run_id)
    artifact = job.store.open(verdict, VerdictManifest)
    uri = f"{job.store.root}/pointer/{job.config.name}/refusals/{artifact.digest[:24]}.json"
    entry = {
        "verdict": verdict,
        "tag": artifact.manifest.tag,
        "author": author,
        "reason": reason,
        "run_id": run_id,
        "time": job.run.created_at.isoformat(),
    }
    try:
        job.store.objects.write(uri, json.dumps(entry, indent=2).encode(), if_absent=True)
    except ConflictError:
        log.info("already recorded: %s", uri)
    return uri


def rollback(name: str, tag: str, author: str, reason: str) -> Pointer:
    """Serve an earlier model again."""
    from pipeline.steps.promote import rollback as step

    settings = load_settings()
    store = open_store(settings)
    run = RunContext.now("rollback", code_version())
    registry = Registry(store.objects, store.root, name)
    pointer = step(registry, tag, author=author, reason=reason, when=run.created_at)
    contract = store.open(pointer.served, ServedManifest).manifest.contract
    mirror(Job(RunConfig(contract=contract), settings, run), pointer)
    return pointer


def history(name: str) -> list[Pointer]:
    """What served when, oldest first."""
    store = open_store()
    return Registry(store.objects, store.root, name).history()


def served_now(name: str) -> Pointer | None:
    """What is served under a name."""
    store = open_store()
    return Registry(store.objects, store.root, name).read()
