"""Experiment entry points: cross-validation of a config, on the DAG's cached activations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.artifacts import FeaturesManifest, SplitManifest
from pipeline.config.crossval import CrossvalConfig
from pipeline.contract.class_names import match
from pipeline.entrypoints.cells import group, split
from pipeline.entrypoints.dataset import ingest, validate
from pipeline.entrypoints.jobs.job import open_job
from pipeline.entrypoints.training import featurize, shards

if TYPE_CHECKING:
    from pipeline.steps.experiments.crossval_report import CrossvalReport


def crossval(
    config: str,
    run_id: str,
    plan: CrossvalConfig,
    archives: Sequence[str] = (),
    limit: int = 0,
) -> "CrossvalReport":
    """Cross-validate a config by group, without the locked test part; publishes no model.

    It ingests, splits and featurizes like a training run, and shares the stored results.
    """
    from pipeline.steps.experiments.crossval import crossval as step
    from pipeline.steps.experiments.crossval import without_class
    from pipeline.steps.training.examples import TrainInputs

    job = open_job(config, run_id)
    spelt = match(plan.unknown, job.config.contract.classes) or plan.unknown
    plan = plan.model_copy(update={"unknown": spelt})
    known = without_class(job.config, plan.unknown)
    snapshot = ingest(config, run_id, archives, limit)
    parts = split(config, run_id, group(config, run_id, validate(config, run_id, snapshot)))
    features = [featurize(config, run_id, parts, shard) for shard in shards(config)]
    inputs = TrainInputs(
        job.store.open(parts, SplitManifest),
        [job.store.open(uri, FeaturesManifest) for uri in features],
        job.weights(),
    )
    return step(inputs, known, plan, store=job.store)
