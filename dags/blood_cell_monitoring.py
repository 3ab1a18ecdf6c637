"""Watch what the served model sees.

Each hour the prediction log becomes a dated window, the window is tested against the reference of
the model that answered, and the policy decides. A report is published either way; only a decision
to retrain starts `blood_cell_training`.

A run's window ends at the end of its data interval, in UTC, and begins where the last tested window
before that ended: what was too little to test is tested with the next. Clearing a run gives it the
same window again, however late, and changes no other run's window.

Beside that, `gather` counts what people said of the answers (`reports/<name>/returned.json`), and
puts their labels into an archive once there are enough; `blood_cell_ingestion` finds it there.

One request, one run: the run is named after the decision, and Airflow holds a name once, so that
clearing `request_retrain` doubles nothing. (Asset events would not do: Airflow folds those that
come while a training runs into one run, which could train only one of the models they name.)

## When it fails

- **collect**: S3 is away, or the service has not uploaded a segment yet; a window without
  predictions is no failure.
- **detect**: the bundle that answered is gone from the store; `leukoflow history` names it.
- **publish**: the report site's folder in S3 cannot be written.
- **gather**: S3 is away, or somebody ran `leukoflow gather` at the same time; the next run goes on
  with the same labels. Labels that are not used are counted in its log.
- **request_retrain**: clear it; until its run has ended the request stays open and no other is
  made.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from _assets import RETRAIN_REQUESTED
from _defaults import DEFAULT_ARGS, config_field
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

PARAMS = {
    "name": Param(
        None,
        type=["null", "string"],
        pattern=r"^[a-z][a-z0-9_]{0,40}$",
        title="Model",
        description="Whose predictions to look at; empty: the model that the service follows. "
        "Retraining uses configs/<name>.yaml.",
    ),
    "since": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="From",
        description="Start of the window, in UTC unless it has an offset; empty: where the last "
        "tested window ended.",
    ),
    "until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="To",
        description="End of the window, in UTC unless it has an offset; empty: the end of the "
        "run's data interval, or when the run was triggered.",
    ),
    "config": config_field("Minimum sample, thresholds and the policy.", "configs/monitoring.yaml"),
}


def _run(context: Mapping[str, Any]) -> tuple[str, str]:
    """Config and run id, the first two arguments of every entry point."""
    return context["params"]["config"], context["run_id"]


def _end(run: Any) -> str:
    """Where a run's window ends; a run by hand has no data interval, and ends at its trigger."""
    end: datetime = run.data_interval_end or run.run_after
    return end.isoformat()


def _name(context: Mapping[str, Any]) -> str:
    """The model looked at."""
    from pipeline.entrypoints import configs

    return context["params"]["name"] or configs.model_name()


def _promoted_name(context: Mapping[str, Any]) -> str:
    """The model looked at; without a promoted one there is nothing to see."""
    from pipeline.entrypoints.registry import served_now

    name = _name(context)
    if served_now(name) is None:
        raise AirflowSkipException(f"no model of the name {name} is promoted yet")
    return name


@task
def collect(**context: Any) -> str:
    """Make a dated window of the prediction log; without a promoted model there is none."""
    from monitoring import entrypoints

    name, params = _promoted_name(context), context["params"]
    until = params["until"] or _end(context["dag_run"])
    return entrypoints.collect(*_run(context), name, until, params["since"])


@task
def gather(**context: Any) -> str:
    """Count returned labels, and put new ones into an archive once there are enough."""
    from monitoring import entrypoints

    return entrypoints.gather(*_run(context), _promoted_name(context))


@task
def detect(window: str, **context: Any) -> str:
    """Test the window against the model's reference."""
    from monitoring import entrypoints

    return entrypoints.detect(*_run(context), window)


@task
def decide(drift: str, **context: Any) -> str:
    """Apply the policy, and open a request when it says so."""
    from monitoring import entrypoints

    return entrypoints.decide(*_run(context), _name(context), drift)


@task
def publish(drift: str, decision: str, **context: Any) -> str:
    """Put the report on the report site."""
    from monitoring import entrypoints

    return entrypoints.publish(*_run(context), _name(context), drift, decision)


class Retraining(TriggerDagRunOperator):
    """Starts the training run that a decision asks for; skipped when it asks for none."""

    def __init__(self, *, decision: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decision = decision

    template_fields = (*TriggerDagRunOperator.template_fields, "decision")

    def execute(self, context: Any) -> Any:
        """Start the run under the decision's name, unless it is there already."""
        from monitoring import entrypoints

        retraining = entrypoints.retraining(self.decision)
        if retraining is None:
            raise AirflowSkipException("the policy asks for no retraining")
        self.trigger_run_id, self.conf = retraining
        return super().execute(context)


@dag(
    schedule=CronTriggerTimetable("17 * * * *", timezone="UTC", interval=timedelta(hours=1)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["blood-cells", "monitoring"],
    doc_md=__doc__,
)
def blood_cell_monitoring() -> None:
    """Collect to retrain request, and returned labels to an archive."""
    gather()
    drift = detect(collect())
    decision = decide(drift)
    publish(drift, decision) >> Retraining(
        task_id="request_retrain",
        decision=decision,
        trigger_dag_id="blood_cell_training",
        logical_date=None,
        skip_when_already_exists=True,
        outlets=[RETRAIN_REQUESTED],
    )


blood_cell_monitoring()
