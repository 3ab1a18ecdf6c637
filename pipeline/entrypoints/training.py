"""From archive to evaluated bundle: the entry points of the first nine tasks."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    DatasetManifest,
    FeaturesManifest,
    GroupingManifest,
    ServedManifest,
    SnapshotManifest,
    SplitManifest,
)
from pipeline.config import load_config
from pipeline.entrypoints.job import Job, config_path, kept_here, open_job
from pipeline.entrypoints.pages import publish, publish_refusal
from pipeline.entrypoints.tracked import tell, tracked_run, until_it_fails
from pipeline.errors import UnreachableError
from pipeline.run import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.modeling.fit import Epoch

log = logging.getLogger(__name__)


def weights() -> str:
    """Bring the backbone's weights to this machine, verified; needs no running stack."""
    from pipeline.modeling.weights import ensure_weights

    settings = load_settings()
    run = RunContext.now("weights", code_version())
    return ensure_weights(settings.weights_uri, store=kept_here(settings), run=run).uri


def has_archives(config: str) -> bool:
    """Whether `archives/<name>/` holds anything to train on; the log says so when it does not."""
    from pipeline.steps.dataset.watch import uploaded

    job = open_job(config, "look")
    found = bool(uploaded(job.config.name, store=job.store))
    if not found:
        log.info("archives/%s/ is empty: there is nothing to train on", job.config.name)
    return found


def ingest(config: str, run_id: str, archives: Sequence[str] = (), limit: int = 0) -> str:
    """Freeze archives (all of the name's when none is given) into a snapshot."""
    from pipeline.steps.dataset.ingest import ingest as step

    job = open_job(config, run_id, limit)
    return step(archives, job.config, store=job.store, run=job.run).uri


def validate(config: str, run_id: str, snapshot: str) -> str:
    """Set bad images aside and publish the validation report, also that of a refusal."""
    from pipeline.steps.dataset.validate import DatasetRefusedError
    from pipeline.steps.dataset.validate import validate as step

    job = open_job(config, run_id)
    opened = job.open(snapshot, SnapshotManifest)
    try:
        dataset = step(opened, job.config, store=job.store, run=job.run)
    except DatasetRefusedError as refused:
        raise publish_refusal(
            refused, opened, store=job.store, run=job.run, site=job.settings.reports_url
        ) from refused
    counts = dataset.manifest.counts
    publish(job, dataset, "validation", "report.html", f"{counts.get('quarantined', 0)} set aside")
    return dataset.uri


def group(config: str, run_id: str, dataset: str) -> str:
    """Find which images show the same cell, and set cells aside that contradict themselves."""
    from pipeline.steps.cells.data_gate import data_gate
    from pipeline.steps.cells.group import group as step
    from pipeline.steps.dataset.validate import DatasetRefusedError

    job = open_job(config, run_id)
    opened = job.open(dataset, DatasetManifest)
    grouping = step(opened, job.config, store=job.store, run=job.run)
    try:
        passed = data_gate(grouping, job.config, store=job.store, run=job.run)
    except DatasetRefusedError as refused:
        raise publish_refusal(
            refused, grouping, store=job.store, run=job.run, site=job.settings.reports_url
        ) from refused
    badge = f"{passed.manifest.counts['quarantined']} set aside"
    publish(job, passed, "grouping", "report.html", badge)
    return passed.uri


def split(config: str, run_id: str, grouping: str) -> str:
    """Deal groups into train, val and the locked test part."""
    from pipeline.steps.cells.split import split as step

    job = open_job(config, run_id)
    opened = job.open(grouping, GroupingManifest)
    return step(opened, job.config, store=job.store, run=job.run).uri


def shards(config: str) -> list[int]:
    """The shards that featurize is mapped over."""
    return list(range(load_config(config_path(config)).features.shards))


def featurize(config: str, run_id: str, split: str, shard: int) -> str:
    """Compute the activations of one shard that nobody has paid for yet."""
    from pipeline.steps.training.featurize import featurize as step

    job = open_job(config, run_id)
    opened = job.open(split, SplitManifest)
    return step(opened, shard, job.config, job.weights(), store=job.store, run=job.run).uri


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


def evaluate(config: str, run_id: str, served: str, bundle: str, split: str) -> str:
    """Score what serves on the locked part and write the drift reference."""
    from pipeline.steps.evaluation.evaluate import evaluate as step
    from pipeline.steps.evaluation.run_log import track_evaluation

    job = open_job(config, run_id)
    opened = job.open(served, ServedManifest)
    source = job.open(bundle, BundleManifest)
    parted = job.open(split, SplitManifest)
    first = opened.manifest.tracking_run
    with until_it_fails(job, first):
        done = step(opened, parted, job.config, store=job.store, run=job.run)
        badge = f"{done.report.scores.balanced_accuracy.value:.1%}"
        beside = ("report.json", "model_card.md")
        publish(job, done.artifact, "evaluation", "report.html", badge, beside)
    tracked = tracked_run(job, first)
    tell(
        tracked,
        lambda: track_evaluation(job.tracking, tracked, opened, source, done, store=job.store),
    )
    return done.artifact.uri
