"""Tasks of the training DAG up to the gate: ingest, validate, group, split, train, evaluate."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from _form_values import text, texts
from airflow.sdk import task


def config_and_run_id(context: Mapping[str, Any]) -> tuple[str, str]:
    """Config, from the XCom of `ingest`, and run id: first two arguments of entry points.

    The stack may be restarted with another MODEL_NAME during a run. The config is empty when there
    is nothing to train on.
    """
    return context["ti"].xcom_pull(task_ids="ingest", key="config"), context["run_id"]


@task.short_circuit
def ingest(**context: Any) -> str:
    """Ingest the archives as a snapshot; without archives, a scheduled run skips all tasks.

    So does a run that only checks the archives: its note has the result.
    """
    from pipeline.entrypoints import config_lookup, dataset

    params, run = context["params"], context["dag_run"]
    config = text(params, "config") or config_lookup.default_config()
    idle = run.run_type == "scheduled" and not dataset.has_archives(config)
    untrained = idle or params["only_check"]
    context["ti"].xcom_push("config", "" if untrained else config)
    if idle:
        return ""
    paths = config_lookup.path_filter(texts(params, "include"), texts(params, "exclude"))
    archives, limit = texts(params, "archives"), params["limit"] or 0
    if untrained:
        dataset.inspect_run(config, context["dag"].dag_id, run.run_id, archives, limit, paths)
        return ""
    return dataset.ingest(config, run.run_id, archives, limit, paths)


@task
def validate(snapshot: str, **context: Any) -> str:
    """Quarantine unusable images and publish the report; fails if too many are unusable."""
    from pipeline.entrypoints import dataset

    return dataset.validate(*config_and_run_id(context), snapshot)


@task
def group(dataset: str, **context: Any) -> str:
    """Group the images of one cell; fails if too many images have contradictory labels."""
    from pipeline.entrypoints import cells

    return cells.group(*config_and_run_id(context), dataset)


@task
def split(grouping: str, **context: Any) -> str:
    """Assign whole groups to train, validation and the locked test part."""
    from pipeline.entrypoints import cells

    return cells.split(*config_and_run_id(context), grouping)


@task
def shards(**context: Any) -> list[int]:
    """Shard numbers 0, 1, ...: the task `featurize` is mapped over the list."""
    from pipeline.entrypoints import training

    return training.shards(config_and_run_id(context)[0])


@task(execution_timeout=timedelta(hours=6))
def featurize(split: str, shard: int, **context: Any) -> str:
    """Compute and cache the activations of one shard of the images; cached ones are reused."""
    from pipeline.entrypoints import training

    return training.featurize(*config_and_run_id(context), split, shard)


@task(execution_timeout=timedelta(hours=12))
def train(split: str, features: Iterable[str], **context: Any) -> str:
    """Train the network after the freeze boundary on cached activations; resumes after a crash."""
    from pipeline.entrypoints import training

    return training.train(*config_and_run_id(context), split, list(features))


@task
def export(bundle: str, split: str, **context: Any) -> str:
    """Convert the model to the serving engine; fails if its predictions disagree with Keras."""
    from pipeline.entrypoints import training

    return training.export(*config_and_run_id(context), bundle, split)


@task
def evaluate(served: str, bundle: str, split: str, **context: Any) -> str:
    """Score the exported model on the locked test part and compute the drift reference."""
    from pipeline.entrypoints import evaluation

    return evaluation.evaluate(*config_and_run_id(context), served, bundle, split)


@task
def gate(evaluation: str, served: str, **context: Any) -> str:
    """Judge the challenger against thresholds and champion; a refusal does not fail the task."""
    from pipeline.entrypoints import verdicts

    return verdicts.gate(*config_and_run_id(context), evaluation, served)
