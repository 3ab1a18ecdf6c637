"""The steps one after the other in this process, as the training DAG has them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.entrypoints.cells import group, split
from pipeline.entrypoints.dataset import ingest, validate
from pipeline.entrypoints.evaluation import evaluate
from pipeline.entrypoints.training import export, featurize, shards, train
from pipeline.entrypoints.verdicts import gate

Take = Callable[..., str]
"""How a step is taken, given it and its arguments: timed, say."""


@dataclass(frozen=True)
class Judged:
    """URIs of what was made of a split."""

    bundle: str
    served: str
    evaluation: str
    verdict: str


def _plainly(step: Callable[..., str], *arguments: object) -> str:
    """Take a step and nothing else."""
    return step(*arguments)


def to_split(
    config: str, run_id: str, archives: Sequence[str] = (), limit: int = 0, take: Take = _plainly
) -> str:
    """From archives (all of the name's when none is given) to the URI of a split."""
    snapshot = take(ingest, config, run_id, archives, limit)
    grouping = take(group, config, run_id, take(validate, config, run_id, snapshot))
    return take(split, config, run_id, grouping)


def to_verdict(config: str, run_id: str, parts: str, take: Take = _plainly) -> Judged:
    """From a split to the verdict on a model that learned from it."""
    features = [take(featurize, config, run_id, parts, shard) for shard in shards(config)]
    bundle = take(train, config, run_id, parts, features)
    served = take(export, config, run_id, bundle, parts)
    evaluation = take(evaluate, config, run_id, served, bundle, parts)
    return Judged(bundle, served, evaluation, take(gate, config, run_id, evaluation, served))
