"""What the DAGs share: what every task does unless it says otherwise, and a field of the forms."""

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule

_TRANSIENT: list[type[BaseException] | str] = [
    "pipeline.errors.UnreachableError",
    "pipeline.errors.ConflictError",
    OSError,  # Connections and time limits, too; some libraries' are a ValueError as well.
]
"""May be gone a minute later."""
_PERMANENT: list[type[BaseException] | str] = [
    "pipeline.errors.PipelineError",  # A hostile archive or a broken config stays what it is.
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    NotImplementedError,
    SyntaxError,
    TypeError,
    ValueError,
]
"""Faults of the input or of the program: the same call fails again."""

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "leukoflow",
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # The first rule that matches, also a base class, decides. What no rule names is retried: a
    # library's own error may be a failed connection.
    "retry_policy": ExceptionRetryPolicy(
        [
            # A kind of UnreachableError, but a bucket's name or a key that somebody must mend.
            RetryRule("pipeline.errors.BucketError", RetryAction.FAIL, reason="no retry helps"),
            RetryRule(_TRANSIENT, RetryAction.RETRY),
            RetryRule(_PERMANENT, RetryAction.FAIL, reason="no retry helps"),
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
