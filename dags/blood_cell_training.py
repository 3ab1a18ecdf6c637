"""Train, judge and promote a blood cell classifier.

Each task hands the URI of an immutable artefact to the next, so any task runs on any worker and a
retried one finds what its first try finished. The DAG starts from `blood_cell_monitoring` when the
policy asks for it, from `blood_cell_ingestion` when an archive arrives, weekly, or by hand with the
form. The weekly run trains the model that is served; where it has no archives, all is skipped.

A refusal is a result: when the gate or a person says no, `promote` is skipped and the run
succeeds. So it is when the data is unchanged and the challenger is the model that serves: nothing
is promoted, no deployment starts, and nobody is asked to approve it. A note on the run says how it
ended: promoted, unchanged, refused or failed.

Whatever happens, `close_request` tells monitoring how its request ended. It is a teardown and the
run's last word: it also runs when a task failed or the run was cancelled, and then fails itself,
since Airflow would call a run successful whose remaining tasks were skipped.

## When it fails

- **ingest**: a run by hand found no archive under `archives/<name>/`, or one was refused; the last
  line of the log names the member and the rule. Nothing was stored. Fix the archive and trigger
  again.
- **validate**: too many images cannot be used; the error counts the most frequent reasons.
- **featurize**: an out-of-memory kill; lower `features.batch_size`. Finished packs are kept.
- **train**: clear the task; it resumes from its last complete checkpoint.
- **evaluate**, **gate**: the exported model does not answer like the trained one; see the log.
- **promote**: a person approved, and another model was promoted meanwhile; clear `gate` and all
  after it, so that the model is judged against the new champion and the person sees that verdict.
- **close_request**: look at the task that failed before it; clearing that one repeats this one.
- **S3 or MLflow is away**: tasks retry with growing pauses; clear the failed ones afterwards.
"""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from _approval import APPROVE, REJECT, Approval, decision_of
from _assets import MODEL_PROMOTED
from _defaults import DEFAULT_ARGS, config_field
from airflow.sdk import CronTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

PARAMS = {
    "archives": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Archives",
        description="URIs to train on, one a line; empty: all of archives/<name>/.",
    ),
    "limit": Param(
        0,
        type="integer",
        minimum=0,
        title="Images per class",
        description="Take this many images of each class from each archive; 0 takes all.",
    ),
    "config": config_field("What the run does: classes, split, training and the gate's floors."),
    "require_approval": Param(
        False,
        type="boolean",
        title="Ask a person",
        description="Wait for a person's yes before a model that passed the gate is promoted.",
    ),
    "reason": Param(
        "",
        type=["string", "null"],
        title="Reason",
        description="Why this run was started; kept in the ledger of promotions.",
    ),
}


def _run(context: Mapping[str, Any]) -> tuple[str, str]:
    """Config and run id, the first two arguments of every entry point after `ingest`.

    The config is what `ingest` found, since a stack may be started anew for another model while a
    run is under way; it is empty when there is nothing to train on.
    """
    return context["ti"].xcom_pull(task_ids="ingest", key="config"), context["run_id"]


@task.short_circuit
def ingest(**context: Any) -> str:
    """Freeze the archives into a snapshot; a scheduled run without archives ends here."""
    from pipeline.entrypoints import configs, dataset

    params, run = context["params"], context["dag_run"]
    config = params["config"] or configs.own_config()
    idle = run.run_type == "scheduled" and not dataset.has_archives(config)
    context["ti"].xcom_push("config", "" if idle else config)
    if idle:
        return ""
    return dataset.ingest(config, run.run_id, params["archives"], params["limit"])


@task
def validate(snapshot: str, **context: Any) -> str:
    """Set aside what cannot be used; stop when that is too much."""
    from pipeline.entrypoints import dataset

    return dataset.validate(*_run(context), snapshot)


@task
def group(dataset: str, **context: Any) -> str:
    """Find the images of one cell."""
    from pipeline.entrypoints import cells

    return cells.group(*_run(context), dataset)


@task
def split(grouping: str, **context: Any) -> str:
    """Deal whole groups into train, validation and the locked test part."""
    from pipeline.entrypoints import cells

    return cells.split(*_run(context), grouping)


@task
def shards(**context: Any) -> list[int]:
    """How many ways `featurize` is shared out."""
    from pipeline.entrypoints import training

    return training.shards(_run(context)[0])


@task(execution_timeout=timedelta(hours=6))
def featurize(split: str, shard: int, **context: Any) -> str:
    """Pass one shard's images through the frozen part of the network, or find them cached."""
    from pipeline.entrypoints import training

    return training.featurize(*_run(context), split, shard)


@task(execution_timeout=timedelta(hours=12))
def train(split: str, features: Iterable[str], **context: Any) -> str:
    """Solve the head on kept regions, or train the blocks behind kept maps."""
    from pipeline.entrypoints import training

    return training.train(*_run(context), split, list(features))


@task
def export(bundle: str, split: str, **context: Any) -> str:
    """Translate the model for the serving engine and prove that it answers alike."""
    from pipeline.entrypoints import training

    return training.export(*_run(context), bundle, split)


@task
def evaluate(served: str, bundle: str, split: str, **context: Any) -> str:
    """Score what serves on the locked part and measure the drift reference."""
    from pipeline.entrypoints import evaluation

    return evaluation.evaluate(*_run(context), served, bundle, split)


@task
def gate(evaluation: str, served: str, **context: Any) -> str:
    """Judge the challenger against floors and champion."""
    from pipeline.entrypoints import verdicts

    return verdicts.gate(*_run(context), evaluation, served)


@task(trigger_rule="none_failed", multiple_outputs=False)
def record_decision(verdict: str, answer: dict[str, Any] | None, **context: Any) -> dict[str, Any]:
    """Who promotes and why; empty, and a person's no recorded, when gate or person refuse."""
    from pipeline.entrypoints import promotion, verdicts

    if not verdicts.passed(verdict):
        return {}
    decision = decision_of(answer, context["params"]["reason"])
    if answer is None:
        return decision
    if answer["chosen_options"] == [APPROVE]:
        return {**decision, "approved_at": str(answer["responded_at"])}
    promotion.record_refusal(context["run_id"], verdict, **decision)
    return {}


@task(outlets=[MODEL_PROMOTED])
def promote(verdict: str, decision: dict[str, Any], **context: Any) -> str:
    """Move the pointer to the judged model; skipped when it serves already or is refused.

    A skipped task emits no asset event, so that nothing is deployed. How it ended is its XCom
    `promotion`.
    """
    from pipeline.entrypoints import promotion

    config, run_id = _run(context)
    if decision:
        ended = promotion.promote(config, run_id, verdict, **decision).model_dump()
    else:
        ended = {"outcome": "refused", "sentence": "the gate or a person refused this model"}
    context["ti"].xcom_push("promotion", ended)
    if ended["outcome"] != "promoted":
        raise AirflowSkipException(f"{ended['outcome']}: {ended['sentence']}")
    served = str(ended["served"])
    context["outlet_events"][MODEL_PROMOTED].extra = {"config": config, "served": served}
    return served


@task
def close_request(**context: Any) -> None:
    """Tell monitoring and the run's page how the training ended, and fail when it did not end well.

    The XCom of an earlier try of `promote` stays when that task is cleared and not reached again:
    it counts only if the task ended.
    """
    from monitoring import entrypoints as monitoring
    from pipeline.entrypoints import training

    config, run_id = _run(context)
    if config == "":
        raise AirflowSkipException("there were no archives to train on")
    ti, dag_id = context["ti"], context["dag"].dag_id
    states = ti.get_task_states(dag_id, task_ids=["promote"], run_ids=[run_id])
    ended = None
    if states.get(run_id, {}).get("promote") in ("success", "skipped"):
        ended = ti.xcom_pull(task_ids="promote", key="promotion")
    ended = ended or {"outcome": "failed", "sentence": "a task failed or the run was cancelled"}
    outcome, sentence = ended["outcome"], ended["sentence"]
    # No field of the form: only `blood_cell_monitoring` names the decision that it acts on.
    request = (context["dag_run"].conf or {}).get("request")
    if request:
        monitoring.close_request(run_id, request, outcome)
    training.close_training(config, dag_id, run_id, outcome, sentence)
    if outcome == "failed":
        raise AirflowFailException(sentence)


def decide(verdict: Any, patience: timedelta = timedelta(days=2)) -> Any:
    """Approval, its record, and the promotion that follows; what the last returns."""
    answer = Approval(
        task_id="approve",
        verdict=verdict,
        subject="Promote this model?",
        options=[APPROVE, REJECT],
        defaults=REJECT,
        params={"note": Param("", type=["string", "null"], title="Why")},
        response_timeout=patience,
    ).output
    return promote(verdict, record_decision(verdict, answer))


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
    """Ingest to promote."""
    snapshot = ingest()
    dealt = split(group(validate(snapshot)))
    counted = shards()
    snapshot >> counted
    features = featurize.partial(split=dealt).expand(shard=counted)
    bundle = train(dealt, features)
    served = export(bundle, dealt)
    verdict = gate(evaluate(served, bundle, dealt), served)
    decide(verdict) >> close_request().as_teardown(on_failure_fail_dagrun=True)


blood_cell_training()
