"""One training run for every new or changed archive.

Every minute `look` compares the ETags of `archives/<name>/*.zip` with a stored watermark. S3 shows
an object only when it is complete, so there are no half-uploaded archives.

Exactly once, in three steps that can each be repeated:

1. `look` claims what is new: it writes it into the watermark as *pending*, by compare-and-set,
   before anything starts. While something is pending, every look returns just that.
2. `start_training` triggers a run whose id is the digest of that list. Airflow's database holds a
   run id once, so a repeated trigger finds the run that is already there.
3. `mark_seen` moves the list from *pending* to *seen*, only now that the run exists.

After a crash the next look goes on with the same list, so the same id, so the same run: nothing is
lost and nothing is doubled. Archives that arrive together share a run, as every run reads all
archives of its name. (Asset events would not do: they have no id to repeat, and Airflow drops them
while the training DAG is paused, and folds them into one while it runs.)

## When it fails

- **look**: S3 is away, or a config in `configs/` cannot be read; the log names it.
- **start_training**: `blood_cell_training` has not been parsed; see the import errors in Airflow.
- **mark_seen**: nothing to do; the next look repeats it.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

import hashlib
import json
from datetime import timedelta
from typing import Any

from _defaults import DEFAULT_ARGS
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, dag, task


@task.short_circuit
def look() -> list[dict[str, Any]]:
    """Configs that have new archives, with those archives; nothing follows when there are none."""
    from pipeline.entrypoints import configs, dataset

    found = {config: dataset.new_archives(config) for config in configs.run_configs()}
    return [{"config": config, "archives": new} for config, new in found.items() if new]


def _training(arrival: dict[str, Any]) -> dict[str, Any]:
    """Run id and form of the training run that an arrival starts."""
    content = hashlib.sha256(json.dumps(arrival, sort_keys=True).encode()).hexdigest()
    names = ", ".join(archive["uri"].rpartition("/")[2] for archive in arrival["archives"])
    return {
        "trigger_run_id": f"archives__{content[:24]}",
        "conf": {"config": arrival["config"], "reason": f"new archive: {names}"},
    }


@task(trigger_rule="none_failed")
def mark_seen(arrivals: list[dict[str, Any]]) -> None:
    """Move the watermark behind what has its run."""
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
    """Look, start, remember."""
    arrivals = look()
    started = TriggerDagRunOperator.partial(
        task_id="start_training",
        trigger_dag_id="blood_cell_training",
        logical_date=None,
        skip_when_already_exists=True,
    ).expand_kwargs(arrivals.map(_training))
    started >> mark_seen(arrivals)


blood_cell_ingestion()
