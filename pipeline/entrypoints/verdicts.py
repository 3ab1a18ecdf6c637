"""Gate entry points: judge a challenger, and read a stored verdict."""

import logging

from pydantic import ValidationError

from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    EvaluationManifest,
    ServedManifest,
    VerdictManifest,
)
from pipeline.config import RunConfig
from pipeline.entrypoints.jobs.job import Job, open_job, open_store, registry_of
from pipeline.entrypoints.jobs.mlflow_run import tell, tracked_run, until_it_fails
from pipeline.entrypoints.jobs.pages import address, publish
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

log = logging.getLogger(__name__)


def gate(config: str, run_id: str, evaluation: str, served: str) -> str:
    """Judge the challenger and publish the verdict; a refusal is returned, not raised.

    Args:
        config: path of the run's config; empty takes the one that the challenger was trained by.
        run_id: recorded in the verdict.
        evaluation: URI of the challenger's evaluation.
        served: URI of the challenger, which names the model.

    Raises:
        InvalidInputError: when the config is another model's.
    """
    from pipeline.steps.promotion.gate import GateInputs
    from pipeline.steps.promotion.gate import gate as step
    from pipeline.steps.promotion.verdict_log import track_verdict
    from pipeline.steps.promotion.verdict_page import badge

    job = job_of_model(config, run_id, served)
    opened = job.open(served, ServedManifest)
    with until_it_fails(job, opened.manifest.tracking_run):
        inputs = GateInputs(opened, job.open(evaluation, EvaluationManifest), job.registry.read())
        artifact, verdict = step(inputs, job.config, store=job.store, run=job.run)
        page = publish(job, artifact, "verdicts", "verdict.html", badge(verdict))
    log.info("verdict page: %s", address(page, job.store, job.settings.reports_url))
    tracked = tracked_run(job, opened.manifest.tracking_run)
    tell(tracked, lambda: track_verdict(job.tracking, tracked, verdict, artifact, store=job.store))
    return artifact.uri


def job_of_model(config: str, run_id: str, served: str) -> Job:
    """The job of a served bundle's model, by the config given or by the one it was trained by.

    Raises:
        InvalidInputError: when the config given is another model's, or the bundle's own cannot be
            read by this version.
    """
    if config:
        return open_job(config, run_id)
    store = open_store()
    bundle = store.open(
        store.open(served, ServedManifest).manifest.inputs["bundle"], BundleManifest
    )
    try:
        own = RunConfig.model_validate_json(store.read(bundle, "config.json"))
    except ValidationError as error:
        raise InvalidInputError(
            f"the config that {bundle.uri} was trained by is of another version: {error}",
            expected=f"--config with a config of {bundle.manifest.name}",
        ) from error
    return Job(own, load_settings(), RunContext.now(run_id, code_version()))


def passed(verdict: str) -> bool:
    """Whether the gate let the challenger pass."""
    return _open(verdict).manifest.passed


def unchanged(verdict: str) -> bool:
    """Whether the challenger served already when it was judged: nobody need approve it."""
    from pipeline.steps.promotion.verdict import read_verdict

    return read_verdict(_open(verdict), open_store()).unchanged


def as_markdown(verdict: str) -> str:
    """The verdict as a Markdown table, with what the ledger says of its model."""
    from pipeline.steps.promotion.ledger_rules import rollback_refusal
    from pipeline.steps.promotion.verdict import read_verdict
    from pipeline.steps.promotion.verdict_page import markdown

    store = open_store()
    judged = read_verdict(_open(verdict), store)
    refusal = rollback_refusal(registry_of(judged.name, store).history(), judged.tag)
    return f"{markdown(judged)}\n\n**Note:** {refusal}" if refusal else markdown(judged)


def _open(verdict: str) -> Artifact[VerdictManifest]:
    return open_store().open(verdict, VerdictManifest)
