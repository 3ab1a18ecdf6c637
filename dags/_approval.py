"""A person's word on a verdict, in the training DAG."""

from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowSkipException

APPROVE, REJECT = "Approve", "Reject"


class Approval(HITLOperator):
    """Shows a person the verdict; skipped when nobody asked for that or the gate refused."""

    def __init__(self, *, verdict: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict

    template_fields = (*HITLOperator.template_fields, "verdict")

    def execute(self, context: Any) -> Any:
        """Put the verdict's page into the request, then wait without holding a worker."""
        from pipeline.entrypoints import verdicts

        if not context["params"]["require_approval"]:
            raise AirflowSkipException("this run promotes without a person's approval")
        if not verdicts.passed(self.verdict):
            raise AirflowSkipException("the gate refused; there is nothing to approve")
        if verdicts.unchanged(self.verdict):
            raise AirflowSkipException("unchanged: the challenger serves; nothing to approve")
        self.body = verdicts.as_markdown(self.verdict)
        return super().execute(context)


def decision_of(answer: dict[str, Any] | None, reason: str | None) -> dict[str, str]:
    """Author and reason: of the person who answered, of the clock, or of the gate alone."""
    if answer is None:
        return {"author": "gate", "reason": reason or "the gate passed"}
    person, note = answer["responded_by_user"], answer["params_input"].get("note")
    return {
        "author": person["name"] if person else "nobody in time",
        "reason": note or reason or "no reason given",
    }
