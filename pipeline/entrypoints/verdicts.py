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
from pipeline.config.run_config import RunConfig
from pipeline.entrypoints.jobs.best_effort_mlflow import fail_run_on_error, log_result
from pipeline.entrypoints.jobs.job import Job, open_job, open_store, pointers_of
from pipeline.entrypoints.jobs.report_pages import page_url, publish
from pipeline.errors import InvalidInputError
from pipeline.run_context import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

log = logging.getLogger(__name__)


def gate(config: str, run_id: str, evaluation: str, served: str) -> str:
    """Judge a challenger against the champion; returns the verdict's URI, also of a refusal.

    Args:
        config: path of the run's config; empty takes the config of the challenger's training.
        run_id: recorded in the verdict.
        evaluation: URI of the challenger's evaluation.
        served: URI of the challenger's served bundle.

    Raises:
        InvalidInputError: when the config belongs to another model.
    """
    from pipeline.steps.promotion.gate import GateInputs
    from pipeline.steps.promotion.gate import gate as step
    from pipeline.steps.promotion.mlflow_verdict import track_verdict
    from pipeline.steps.promotion.verdict_page import badge

    job = job_of_model(config, run_id, served)
    opened = job.open(served, ServedManifest)
    with fail_run_on_error(job, opened.manifest.tracking_run):
        inputs = GateInputs(opened, job.open(evaluation, EvaluationManifest), job.pointers.read())
        artifact, verdict = step(inputs, job.config, store=job.store, run=job.run)
        page = publish(job, artifact, "verdicts", badge(verdict), ["verdict.html"])
    log.info("verdict page: %s", page_url(page, job.store, job.settings.reports_url))
    log_result(
        job,
        opened.manifest.tracking_run,
        lambda run: track_verdict(job.tracking, run, verdict, artifact, store=job.store),
    )
    return artifact.uri


def job_of_model(config: str, run_id: str, served: str) -> Job:
    """Job with the given config; if `config` is empty, with the config of the model's training.

    Raises:
        InvalidInputError: when this version cannot read the config of the bundle's training.
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
            f"the config of {bundle.uri} is of an incompatible version: {error}",
            expected=f"--config with a config of {bundle.manifest.name}",
        ) from error
    return Job(own, load_settings(), RunContext.now(run_id, code_version()))


def passed(verdict: str) -> bool:
    """Whether the challenger passed the gate."""
    return _open(verdict).manifest.passed


def unchanged(verdict: str) -> bool:
    """Whether the challenger already served when it was judged, so that nothing changes."""
    from pipeline.steps.promotion.verdict import read_verdict

    return read_verdict(_open(verdict), open_store()).unchanged


def as_markdown(verdict: str) -> str:
    """The verdict as a Markdown table, with a note if the model was rolled back before."""
    from pipeline.steps.promotion.repromotion_rules import rollback_refusal
    from pipeline.steps.promotion.verdict import read_verdict
    from pipeline.steps.promotion.verdict_page import markdown

    store = open_store()
    judged = read_verdict(_open(verdict), store)
    refusal = rollback_refusal(pointers_of(judged.name, store).history(), judged.tag)
    return f"{markdown(judged)}\n\n**Note:** {refusal}" if refusal else markdown(judged)


def _open(verdict: str) -> Artifact[VerdictManifest]:
    """Read a verdict's manifest."""
    return open_store().open(verdict, VerdictManifest)
