"""Training entry points: weights, cached activations, training, export, and closing a run."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    FeaturesManifest,
    SplitManifest,
)
from pipeline.config.run_config import load_config
from pipeline.entrypoints.config_lookup import config_path
from pipeline.entrypoints.dataset import snapshot_manifest
from pipeline.entrypoints.jobs.best_effort_mlflow import (
    end_training,
    fail_run_on_error,
    log_to_mlflow,
    tag_training,
)
from pipeline.entrypoints.jobs.job import Job, local_store, open_job
from pipeline.entrypoints.jobs.run_note import write_note
from pipeline.errors import InvalidInputError, PipelineError, UnreachableError
from pipeline.run_context import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.modeling.training_loop import Epoch
    from pipeline.steps.promotion.repromotion_rules import Outcome


log = logging.getLogger(__name__)


def weights() -> str:
    """Download and verify the ImageNet weights, once per machine; returns the URI."""
    from pipeline.modeling.imagenet_weights import ensure_weights

    settings = load_settings()
    run = RunContext.now("weights", code_version())
    return ensure_weights(settings.weights_uri, store=local_store(settings), run=run).uri


def shards(config: str) -> list[int]:
    """Shard numbers of a config, 0, 1, ...: `featurize` is called once for each."""
    return list(range(load_config(config_path(config)).features.shards))


def featurize(config: str, run_id: str, split: str, shard: int) -> str:
    """Compute and store one shard's activations that are not cached; returns the URI."""
    from pipeline.steps.training.featurize import ShardInputs
    from pipeline.steps.training.featurize import featurize as step

    job = open_job(config, run_id)
    opened = job.open(split, SplitManifest)
    inputs = ShardInputs(opened, shard, job.weights())
    return step(inputs, job.config, store=job.store, run=job.run).uri


def train(config: str, run_id: str, split: str, features: Sequence[str]) -> str:
    """Train a model, in an MLflow run that `evaluate` ends; returns the bundle's URI.

    Untracked when MLflow is unreachable.
    """
    from pipeline.steps.training.examples import TrainInputs
    from pipeline.steps.training.train import train as step

    job = open_job(config, run_id)
    opened = job.open(split, SplitManifest)
    parts = [job.open(uri, FeaturesManifest) for uri in features]
    tracked = _start_tracking(job, opened)

    def log_epoch(epoch: "Epoch") -> None:
        log.info("epoch %d: validation accuracy %.3f", epoch.epoch, epoch.val_accuracy)
        curve = {k: v for k, v in epoch.model_dump().items() if k != "epoch"}
        log_to_mlflow(tracked, lambda: job.tracking.log_metrics(tracked, curve, epoch.epoch))

    with fail_run_on_error(job, tracked):
        inputs = TrainInputs(opened, parts, job.weights(), tracked)
        return step(inputs, job.config, store=job.store, run=job.run, report=log_epoch).uri


def _start_tracking(job: Job, split: Artifact[SplitManifest]) -> str:
    """Start an MLflow run and return its id; '', with a warning, when MLflow is unreachable."""
    from pipeline.steps.evaluation.mlflow_evaluation import environment, parameters

    try:
        tracked = job.tracking.start(
            job.run.run_id,
            parameters(job.config),
            {"code_version": job.run.code_version, "dataset_digest": split.digest},
        )
        job.tracking.log_dataset(tracked, job.config.name, split.digest, split.uri)
        job.tracking.log_text(tracked, environment(), "environment.txt")
    except UnreachableError as error:
        log.warning("training without tracking: %s", error)
        return ""
    return tracked


def export(config: str, run_id: str, bundle: str, split: str) -> str:
    """Convert a Keras bundle to the serving engine; an error ends its MLflow run as FAILED."""
    from pipeline.steps.export.export import export as step

    job = open_job(config, run_id)
    opened = job.open(bundle, BundleManifest)
    with fail_run_on_error(job, opened.manifest.tracking_run):
        parted = job.open(split, SplitManifest)
        return step(opened, parted, job.config, store=job.store, run=job.run).uri


def close_training(
    config: str | None,
    dag_id: str,
    run_id: str,
    outcome: "Outcome",
    sentence: str,
    snapshot: str = "",
) -> None:
    """Write the outcome to the Airflow run's note; end a failed MLflow run; errors are warnings.

    Archives that ingest skipped are in the note, and a tag of the MLflow run.

    Args:
        config: path of the run's config; None when the run ended before it read one.
        dag_id: the run's DAG.
        run_id: the run.
        outcome: `failed` when no model was judged and decided on.
        sentence: the outcome for people.
        snapshot: URI of the run's snapshot; empty when there is none.
    """
    skipped = _skipped_archives(snapshot)
    try:
        if config and skipped:
            tag_training(config, run_id, {"skipped_archives": skipped})
        if config and outcome == "failed":
            end_training(config, run_id)
    except InvalidInputError as error:
        log.warning("the outcome is not recorded in MLflow: %s", error)
    text = f"{outcome}: {sentence}" + (f". Skipped archives: {skipped}" if skipped else "")
    write_note(dag_id, run_id, text)


def _skipped_archives(snapshot: str) -> str:
    """Archives that ingest skipped, with reasons; '' for none, or a snapshot that is unreadable."""
    from pipeline.steps.dataset.refused_archives import summary

    try:
        return summary(snapshot_manifest(snapshot).refused) if snapshot else ""
    except PipelineError as error:
        log.warning("the run's skipped archives are not known: %s", error)
        return ""
