"""Start a training run when archives are new or changed.

Every minute `look` compares the ETags of `archives/<name>/*.zip` with a stored watermark. S3 lists
an object only when its upload is complete, so no archive is read half-uploaded.

Exactly-once delivery, in three steps that can each be repeated:

1. `look` claims new archives: it writes them into the watermark as *pending*, by compare-and-set.
   While archives are pending, every `look` returns the same list.
2. `start_training` triggers a run whose id is the digest of that list. A run id is unique in
   Airflow's database, so a repeated trigger finds the existing run.
3. `mark_seen` moves the list from *pending* to *seen*, after the run exists.

After a crash the next `look` returns the same list, hence the same run id: no archive is lost, and
each change starts one run. Archives that are found together share a run; every run reads all
archives of its name. (Asset events do not fit: they have no id, and Airflow drops them while the
training DAG is paused and merges them while it runs.)

## When it fails

- **look**: S3 is unreachable, or a config in `configs/` is invalid; the log names it.
- **start_training**: Airflow has not parsed `blood_cell_training`; see its import errors.
- **mark_seen**: do nothing; the next run repeats it.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

import hashlib
import json
from datetime import timedelta
from typing import Any

from _task_defaults import DEFAULT_ARGS
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, dag, task

from pipeline.dag_ids import TRAINING


@task.short_circuit
def look() -> list[dict[str, Any]]:
    """Each config with its new archives, which are stored as pending; without any, the run ends."""
    from pipeline.entrypoints import config_lookup, dataset

    arrivals = {
        config: dataset.claim_archives(config) for config in config_lookup.watched_configs()
    }
    return [{"config": config, "archives": new} for config, new in arrivals.items() if new]


def _training(arrival: dict[str, Any]) -> dict[str, Any]:
    """Run id and form of the training run for one config's new archives."""
    content = hashlib.sha256(json.dumps(arrival, sort_keys=True).encode()).hexdigest()
    names = ", ".join(archive["uri"].rpartition("/")[2] for archive in arrival["archives"])
    return {
        "trigger_run_id": f"archives__{content[:24]}",
        "conf": {"config": arrival["config"], "reason": f"new archive: {names}"},
    }


@task(trigger_rule="none_failed")
def mark_seen(arrivals: list[dict[str, Any]]) -> None:
    """Store archives as seen once their training run exists, so that no later run takes them."""
    from pipeline.entrypoints import dataset

    for arrival in arrivals:
        dataset.mark_seen(arrival["config"], arrival["archives"])


@dag(
    schedule=CronTriggerTimetable("* * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={**DEFAULT_ARGS, "execution_timeout": timedelta(minutes=5)},
    tags=["blood-cells", "ingestion"],
    doc_md=__doc__,
)
def blood_cell_ingestion() -> None:
    """Task graph: `look`, `start_training`, `mark_seen`."""
    arrivals = look()
    started = TriggerDagRunOperator.partial(
        task_id="start_training",
        trigger_dag_id=TRAINING,
        logical_date=None,
        skip_when_already_exists=True,
    ).expand_kwargs(arrivals.map(_training))
    started >> mark_seen(arrivals)


blood_cell_ingestion()
