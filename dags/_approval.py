"""The human approval step of the training DAG."""

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowSkipException

APPROVE, REJECT = "Approve", "Reject"


class Approval(HITLOperator):
    """Operator that shows the verdict to a person and waits for a response, outside a worker.

    Skipped when the run requires no approval, the gate refused, or the challenger already serves.
    """

    def __init__(self, *, verdict: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict

    template_fields = (*HITLOperator.template_fields, "verdict")

    def execute(self, context: Any) -> Any:
        """Put the verdict's page into the approval request, then defer; skips if none is needed."""
        from pipeline.entrypoints import verdicts

        if not context["params"]["require_approval"]:
            raise AirflowSkipException("this run promotes without a person's approval")
        if not verdicts.passed(self.verdict):
            raise AirflowSkipException("the gate refused this model; there is nothing to approve")
        if verdicts.unchanged(self.verdict):
            raise AirflowSkipException("unchanged: this model already serves; nothing to approve")
        self.body = verdicts.as_markdown(self.verdict)
        return super().execute(context)


def decision_of(response: dict[str, Any] | None, reason: str | None) -> dict[str, str]:
    """Author and reason of a decision: the reviewer, the timeout or the gate.

    Args:
        response: XCom of the approval step; None when it was skipped.
        reason: the reason in the run's form.
    """
    if response is None:
        return {"author": "gate", "reason": reason or "the gate passed"}
    person, note = response["responded_by_user"], response["params_input"].get("note") or ""
    return {
        "author": person["name"] if person else "approval timeout",
        "reason": note.strip() or reason or "no reason given",
    }
