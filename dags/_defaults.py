"""What every task of every DAG does unless it says otherwise."""

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

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
