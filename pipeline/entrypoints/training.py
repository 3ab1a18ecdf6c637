"""Training entry points: weights, activations, the head, the export, and the end of a run."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.adapters.airflow import AirflowClient
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    FeaturesManifest,
    SplitManifest,
)
from pipeline.config import load_config
from pipeline.entrypoints.configs import config_path
from pipeline.entrypoints.jobs.job import Job, kept_here, open_job
from pipeline.entrypoints.jobs.mlflow_run import end_training, tell, until_it_fails
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.run import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.modeling.fit import Epoch
    from pipeline.steps.promotion.ledger_rules import Outcome


log = logging.getLogger(__name__)


def weights() -> str:
    """Bring the backbone's weights to this machine, verified; needs no running stack."""
    from pipeline.modeling.weights import ensure_weights

    settings = load_settings()
    run = RunContext.now("weights", code_version())
    return ensure_weights(settings.weights_uri, store=kept_here(settings), run=run).uri


def shards(config: str) -> list[int]:
    """The shards that featurize is mapped over."""
    return list(range(load_config(config_path(config)).features.shards))


def featurize(config: str, run_id: str, split: str, shard: int) -> str:
    """Compute the activations of one shard that nobody has paid for yet."""
    from pipeline.steps.training.featurize import ShardInputs
    from pipeline.steps.training.featurize import featurize as step

    job = open_job(config, run_id)
    opened = job.open(split, SplitManifest)
    inputs = ShardInputs(opened, shard, job.weights())
    return step(inputs, job.config, store=job.store, run=job.run).uri


def train(config: str, run_id: str, split: str, features: Sequence[str]) -> str:
    """Train the head, tracked in MLflow when it answers, by a run that `evaluate` ends."""
    from pipeline.steps.training.examples import TrainInputs
    from pipeline.steps.training.train import train as step

    job = open_job(config, run_id)
    opened = job.open(split, SplitManifest)
    parts = [job.open(uri, FeaturesManifest) for uri in features]
    tracked = _start_tracking(job, opened)

    def report(epoch: "Epoch") -> None:
        log.info("epoch %d: validation accuracy %.3f", epoch.epoch, epoch.val_accuracy)
        curve = {k: v for k, v in epoch.model_dump().items() if k != "epoch"}
        tell(tracked, lambda: job.tracking.log_metrics(tracked, curve, epoch.epoch))

    with until_it_fails(job, tracked):
        inputs = TrainInputs(opened, parts, job.weights(), tracked)
        return step(inputs, job.config, store=job.store, run=job.run, report=report).uri


def _start_tracking(job: Job, split: Artifact[SplitManifest]) -> str:
    """The id of a new MLflow run, or nothing when the server is down: training goes on."""
    from pipeline.steps.evaluation.run_log import environment, parameters

    try:
        tracked = job.tracking.start(
            job.run.run_id,
            parameters(job.config),
            {"code_version": job.run.code_version, "dataset_digest": split.digest},
        )
        job.tracking.log_dataset(tracked, job.config.name, split.digest, split.uri)
        job.tracking.log_text(tracked, environment(), "environment.txt")
    except UnreachableError as error:
        log.warning("training goes untracked: %s", error)
        return ""
    return tracked


def export(config: str, run_id: str, bundle: str, split: str) -> str:
    """Convert the bundle to the serving engine."""
    from pipeline.steps.export.export import export as step

    job = open_job(config, run_id)
    opened = job.open(bundle, BundleManifest)
    with until_it_fails(job, opened.manifest.tracking_run):
        parted = job.open(split, SplitManifest)
        return step(opened, parted, job.config, store=job.store, run=job.run).uri


def close_training(
    config: str | None, dag_id: str, run_id: str, outcome: "Outcome", sentence: str
) -> None:
    """Note on a run's page how it ended; what failed is FAILED in MLflow too, also when killed.

    Args:
        config: of the run; None when it ended before it had read one.
        dag_id: of the run.
        run_id: of the run.
        outcome: how it ended; `failed` when there was no decision on a model.
        sentence: the same for people.
    """
    if outcome == "failed" and config:
        try:
            end_training(config, run_id)
        except InvalidInputError as error:
            log.warning("MLflow is not told of the failure: %s", error)
    try:
        AirflowClient(load_settings()).note(dag_id, run_id, f"{outcome}: {sentence}")
    except (UnreachableError, InvalidInputError) as error:
        # An Airflow that gives this task no login has the reason in the log of `promote` only.
        log.warning("the run's page has no note: %s", error)
