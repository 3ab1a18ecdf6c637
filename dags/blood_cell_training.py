"""Train, judge and promote a blood cell classifier.

Each task passes the URI of an immutable artefact to the next, so any worker can run any task and a
retry reuses finished work. A run starts when `blood_cell_monitoring` requests a retrain, when
`blood_cell_ingestion` finds a new archive, weekly, or manually with the form. The weekly run trains
the model named MODEL_NAME; without archives, all its tasks are skipped.

With "Only check" in the form, `ingest` checks the archives like `leukoflow inspect` and writes the
result to the run's note; all other tasks are skipped.

A refusal is a result: when the gate or a person refuses the model, `promote` is skipped and the run
succeeds. The same holds when the data is unchanged and the challenger already serves: nothing is
promoted or deployed, and no approval is requested. A note on the run shows its outcome: promoted,
unchanged, refused or failed.

`close_request` reports the outcome to monitoring. It is a teardown: it also runs when a task failed
or the run was cancelled, and then fails itself, because Airflow would mark a run as successful
whose remaining tasks were skipped.

## When it fails

- **ingest**: a manual run found no archive under `archives/<name>/`, an archive of the form was
  refused, or all of `archives/<name>/` were; the last line of the log has each reason. Fix the
  archive and trigger the run again. Without archives in the form, a refused one is skipped while
  others can be used: the run's note and the validation page name it.
- **validate**: too many images are unusable, or a class has too few; the error counts the most
  frequent reasons.
- **group**: too many images have contradictory labels, or a class has fewer than 3 cells.
- **split**: a class has too few groups.
- **featurize**: out of memory; lower `features.batch_size`. Finished packs are reused.
- **train**: clear the task; it resumes from its last complete checkpoint.
- **export**: no serving engine passes the parity check with Keras; the error has the agreements.
- **promote**: another model was promoted after a person approved this one; clear `gate` and
  everything downstream, so that the model is judged against the new champion and approved again.
- **close_request**: look at the task that failed before it; clearing that task reruns this one.
- **S3 or MLflow is unreachable**: tasks retry with exponential backoff; clear failed ones later.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from _promotion_tasks import close_request, decide
from _task_defaults import DEFAULT_ARGS
from _training_form import PARAMS
from _training_tasks import (
    evaluate,
    export,
    featurize,
    gate,
    group,
    ingest,
    shards,
    split,
    train,
    validate,
)
from airflow.sdk import CronTriggerTimetable, dag


@dag(
    schedule=CronTriggerTimetable("0 3 * * 1", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params=PARAMS,
    tags=["blood-cells", "training"],
    doc_md=__doc__,
)
def blood_cell_training() -> None:
    """Task graph: from `ingest` to `promote` and `close_request`."""
    snapshot = ingest()
    parts = split(group(validate(snapshot)))
    numbers = shards()
    snapshot >> numbers
    features = featurize.partial(split=parts).expand(shard=numbers)
    bundle = train(parts, features)
    served = export(bundle, parts)
    verdict = gate(evaluate(served, bundle, parts), served)
    decide(verdict) >> close_request().as_teardown(on_failure_fail_dagrun=True)


blood_cell_training()
