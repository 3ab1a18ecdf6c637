"""What the DAGs share: what every task does unless it says otherwise, and a field of the forms."""

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "leukoflow",
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # A part that was away may be back; a hostile archive or a broken config stays what it is.
    "retry_policy": ExceptionRetryPolicy(
        [
            RetryRule("pipeline.errors.UnreachableError", RetryAction.RETRY),
            RetryRule("pipeline.errors.ConflictError", RetryAction.RETRY),
            RetryRule("pipeline.errors.PipelineError", RetryAction.FAIL, reason="no retry helps"),
        ]
    ),
    "execution_timeout": timedelta(hours=2),
}


def config_field(description: str, default: str | None = None) -> Param:
    """The form's `config`: a file of `configs/`; empty is the one of the model that is served.

    What is served is read from the settings when a task runs: a DAG file reads no environment.
    """
    return Param(
        default,
        type="string" if default else ["null", "string"],
        pattern=r"^configs/[\w.-]+\.ya?ml$",
        title="Config",
        description=description if default else f"{description} Empty: configs/<MODEL_NAME>.yaml.",
    )
