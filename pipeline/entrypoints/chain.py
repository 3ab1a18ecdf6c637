"""Run the steps of the training DAG in this process, without Airflow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import call

from pipeline.config.archive_limits import ALL_FILES, PathFilter
from pipeline.entrypoints.cells import group, split
from pipeline.entrypoints.dataset import ingest, validate
from pipeline.entrypoints.evaluation import evaluate
from pipeline.entrypoints.training import export, featurize, shards, train
from pipeline.entrypoints.verdicts import gate

RunStep = Callable[..., str]
"""Calls a step with its arguments, for example with a timer; returns the step's URI."""


@dataclass(frozen=True)
class Judged:
    """URIs of a trained model, its exported bundle, its evaluation and its verdict."""

    bundle: str
    served: str
    evaluation: str
    verdict: str


def to_split(
    config: str,
    run_id: str,
    archives: Sequence[str] = (),
    limit: int = 0,
    run_step: RunStep = call,
    paths: PathFilter = ALL_FILES,
) -> str:
    """Ingest, validate, group and split archives (default: all of the model); returns the URI."""
    snapshot = run_step(ingest, config, run_id, archives, limit, paths)
    grouping = run_step(group, config, run_id, run_step(validate, config, run_id, snapshot))
    return run_step(split, config, run_id, grouping)


def to_verdict(config: str, run_id: str, parts: str, run_step: RunStep = call) -> Judged:
    """Train, export, evaluate and judge a model; returns the URIs, also of a refusal."""
    features = [run_step(featurize, config, run_id, parts, shard) for shard in shards(config)]
    bundle = run_step(train, config, run_id, parts, features)
    served = run_step(export, config, run_id, bundle, parts)
    evaluation = run_step(evaluate, config, run_id, served, bundle, parts)
    return Judged(bundle, served, evaluation, run_step(gate, config, run_id, evaluation, served))
