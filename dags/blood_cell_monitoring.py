"""Monitor the predictions of the served model.

Each hour the prediction log becomes a dated window, the window is tested for drift against the
model's reference, and the policy decides. Every run publishes a report; only a decision to retrain
starts `blood_cell_training`.

A run's window ends at the end of its data interval, in UTC, and begins at the end of the last
tested window before. Predictions of a window that was too small to test are tested with the next.
Clearing a run recreates the same window at any later time and changes no other run's window.

In parallel, `gather` compares returned labels with the predictions
(`reports/<name>/returned.json`) and writes an archive once there are enough labels;
`blood_cell_ingestion` finds it.

One request starts one run: the run is named after the decision, and a run id is unique in Airflow,
so clearing `request_retrain` starts no second run. (Asset events do not fit: Airflow merges those
that arrive during a training into one run, which would train only one of the models.)

## When it fails

- **collect**: S3 is unreachable. A window without predictions is not a failure.
- **detect**: the bundle that made the predictions is missing in the store; `leukoflow history`
  names it.
- **publish**: the report site's folder in S3 is not writable.
- **gather**: S3 is unreachable, or `leukoflow gather` ran at the same time; the next run uses the
  same labels. The log counts unused labels.
- **request_retrain**: clear it. Until its training run has ended, the request stays open and the
  policy makes no other.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from _assets import RETRAIN_REQUESTED
from _form_values import text
from _task_defaults import DEFAULT_ARGS, config_field
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from pipeline.dag_ids import TRAINING

CONFIG = "configs/monitoring.yaml"
PARAMS = {
    "name": Param(
        None,
        type=["null", "string"],
        pattern=r"^\s*([a-z][a-z0-9_]{0,40})?\s*$",
        title="Model",
        description="Model whose predictions are monitored. Empty: MODEL_NAME. "
        "Retraining uses configs/<name>.yaml.",
    ),
    "since": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="From",
        description="Start of the window, in UTC unless it has an offset. Empty: the end of the "
        "last tested window.",
    ),
    "until": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="To",
        description="End of the window, in UTC unless it has an offset. Empty: the end of the "
        "run's data interval, or the trigger time of a manual run.",
    ),
    "config": config_field("Minimum sample, thresholds and the policy.", CONFIG),
}


def _config_and_run_id(context: Mapping[str, Any]) -> tuple[str, str]:
    """Config and run id, the first two arguments of every entry point."""
    return text(context["params"], "config") or CONFIG, context["run_id"]


def _end(run: Any) -> str:
    """End of a run's data interval; for a manual run, the trigger time."""
    end: datetime = run.data_interval_end or run.run_after
    return end.isoformat()


def _name(context: Mapping[str, Any]) -> str:
    """Name of the monitored model."""
    from pipeline.entrypoints import config_lookup

    return text(context["params"], "name") or config_lookup.default_model_name()


def _promoted_name(context: Mapping[str, Any]) -> str:
    """Name of the monitored model; skips the task if no model of that name is promoted."""
    from pipeline.entrypoints.served_models import served_now

    name = _name(context)
    if served_now(name) is None:
        raise AirflowSkipException(f"no model named {name} is promoted yet")
    return name


@task
def collect(**context: Any) -> str:
    """Publish a window of the prediction log; skipped without a promoted model."""
    from monitoring import entrypoints

    name, params = _promoted_name(context), context["params"]
    until = text(params, "until") or _end(context["dag_run"])
    return entrypoints.collect(*_config_and_run_id(context), name, until, text(params, "since"))


@task
def gather(**context: Any) -> str:
    """Count returned labels, write an archive once there are enough; skipped without a model."""
    from monitoring import entrypoints

    return entrypoints.gather(*_config_and_run_id(context), _promoted_name(context))


@task
def detect(window: str, **context: Any) -> str:
    """Test the window for drift and publish the result; an alarm does not fail the task."""
    from monitoring import entrypoints

    return entrypoints.detect(*_config_and_run_id(context), window)


@task
def decide(drift: str, **context: Any) -> str:
    """Apply the retrain policy; stores the decision, opens a retrain request if needed."""
    from monitoring import entrypoints

    return entrypoints.decide(*_config_and_run_id(context), _name(context), drift)


@task
def publish(drift: str, decision: str, **context: Any) -> str:
    """Copy the drift report to the report site; returns the URI of the page."""
    from monitoring import entrypoints

    return entrypoints.publish(*_config_and_run_id(context), _name(context), drift, decision)


class Retraining(TriggerDagRunOperator):
    """Operator that triggers a training run if the policy decided to retrain; else skipped."""

    def __init__(self, *, decision: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decision = decision

    template_fields = (*TriggerDagRunOperator.template_fields, "decision")

    def execute(self, context: Any) -> Any:
        """Trigger a run whose id is made from the decision; skipped without a request."""
        from monitoring import entrypoints

        retraining = entrypoints.training_run_of(self.decision)
        if retraining is None:
            raise AirflowSkipException("the policy decided against a retrain")
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
    """Task graph: `collect` to `request_retrain`, and `gather` in parallel."""
    gather()
    drift = detect(collect())
    decision = decide(drift)
    publish(drift, decision) >> Retraining(
        task_id="request_retrain",
        decision=decision,
        trigger_dag_id=TRAINING,
        logical_date=None,
        skip_when_already_exists=True,
        outlets=[RETRAIN_REQUESTED],
    )


blood_cell_monitoring()
