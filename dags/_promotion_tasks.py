"""Tasks of the training DAG after the gate: approval, promotion, and closing the run."""

# TaskFlow hands over an XComArg where the task's body gets the value.
# mypy: disable-error-code="arg-type"

from datetime import timedelta
from typing import Any

from _approval import APPROVE, REJECT, Approval, decision_of
from _assets import MODEL_PROMOTED
from _form_values import text
from _training_tasks import config_and_run_id
from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


@task(trigger_rule="none_failed", multiple_outputs=False)
def record_decision(
    verdict: str, response: dict[str, Any] | None, **context: Any
) -> dict[str, Any]:
    """Author and reason of the promotion, or {} after a refusal; stores a person's refusal.

    A refusal is of the gate or of a person; the latter is stored beside the pointer.
    """
    from pipeline.entrypoints import promotion, verdicts

    if not verdicts.passed(verdict):
        return {}
    decision = decision_of(response, text(context["params"], "reason"))
    if response is None:
        return decision
    if response["chosen_options"] == [APPROVE]:
        return {**decision, "approved_at": str(response["responded_at"])}
    promotion.record_refusal(context["run_id"], verdict, **decision)
    return {}


@task(outlets=[MODEL_PROMOTED])
def promote(verdict: str, decision: dict[str, Any], **context: Any) -> str:
    """Promote the judged model; skipped if the model already serves or was refused.

    A skipped task emits no asset event, so nothing is deployed. The XCom `promotion` holds the
    outcome.
    """
    from pipeline.entrypoints import promotion

    config, run_id = config_and_run_id(context)
    if decision:
        result = promotion.promote(config, run_id, verdict, decision).model_dump()
    else:
        result = {"outcome": "refused", "sentence": "the gate or a person refused this model"}
    context["ti"].xcom_push("promotion", result)
    if result["outcome"] != "promoted":
        raise AirflowSkipException(f"{result['outcome']}: {result['sentence']}")
    served = str(result["served"])
    context["outlet_events"][MODEL_PROMOTED].extra = {"config": config, "served": served}
    return served


def decide(verdict: Any, response_timeout: timedelta = timedelta(days=2)) -> Any:
    """Add the tasks approve, record_decision and promote to the DAG; returns promote's output."""
    response = Approval(
        task_id="approve",
        verdict=verdict,
        subject="Promote this model?",
        options=[APPROVE, REJECT],
        defaults=REJECT,
        params={"note": Param("", type=["string", "null"], title="Reason")},
        response_timeout=response_timeout,
    ).output
    return promote(verdict, record_decision(verdict, response))


@task
def close_request(**context: Any) -> None:
    """Close the retrain request, write the outcome to the run's note; fails if the run failed."""
    from monitoring import entrypoints as monitoring
    from pipeline.entrypoints import training

    config, run_id = config_and_run_id(context)
    if config == "":
        raise AirflowSkipException("nothing was trained: no archives, or they were only checked")
    dag_id = context["dag"].dag_id
    result = _promotion(context["ti"], dag_id, run_id)
    outcome, sentence = result["outcome"], result["sentence"]
    # Not a field of the form: only `blood_cell_monitoring` names the decision behind a request.
    request = (context["dag_run"].conf or {}).get("request")
    if request:
        monitoring.close_request(run_id, request, outcome)
    snapshot = context["ti"].xcom_pull(task_ids="ingest") or ""
    training.close_training(config, dag_id, run_id, outcome, sentence, snapshot)
    if outcome == "failed":
        raise AirflowFailException(sentence)


def _promotion(ti: Any, dag_id: str, run_id: str) -> dict[str, str]:
    """Outcome of the task `promote`, from its XCom; `failed` if it did not end.

    When `promote` was cleared and not reached again, the XCom of its earlier try is still there: it
    counts only if the task's state is final.
    """
    states = ti.get_task_states(dag_id, task_ids=["promote"], run_ids=[run_id])
    result = None
    if states.get(run_id, {}).get("promote") in ("success", "skipped"):
        result = ti.xcom_pull(task_ids="promote", key="promotion")
    return result or {"outcome": "failed", "sentence": "a task failed or the run was cancelled"}
