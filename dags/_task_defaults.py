"""Task defaults: retries, retry policy and timeouts; and the form field `config`."""

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule

_REFUSED: list[type[BaseException] | str] = [
    "pipeline.errors.BucketError",
    "pipeline.errors.TrackingError",
]
"""A part of the stack responds, but refuses."""
_TRANSIENT: list[type[BaseException] | str] = [
    "pipeline.errors.UnreachableError",
    "pipeline.errors.ConflictError",
    OSError,  # Connection errors and timeouts; some of these also subclass ValueError.
]
"""Transient errors; retried."""
_PERMANENT: list[type[BaseException] | str] = [
    "pipeline.errors.PipelineError",  # An invalid archive or config stays invalid.
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
"""Errors of the input or the code: a retry fails again."""

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "leukoflow",
    "retries": 3,
    "retry_delay": timedelta(seconds=15),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # The first rule that matches decides; a base class matches too. Other errors are retried,
    # because a library's own error may be a failed connection.
    "retry_policy": ExceptionRetryPolicy(
        [
            # Subclasses of UnreachableError, but a wrong key or a refusal needs a person.
            RetryRule(_REFUSED, RetryAction.FAIL, reason="no retry helps"),
            RetryRule(_TRANSIENT, RetryAction.RETRY),
            RetryRule(_PERMANENT, RetryAction.FAIL, reason="no retry helps"),
        ]
    ),
    "execution_timeout": timedelta(hours=2),
}


def config_field(description: str, default: str | None = None) -> Param:
    """Form field `config`: a file in `configs/`; empty means `configs/<MODEL_NAME>.yaml`.

    A task reads MODEL_NAME when it runs: a DAG file reads no environment.
    """
    return Param(
        default,
        type=["null", "string"],
        pattern=r"^\s*(configs/[\w.-]+\.ya?ml)?\s*$",
        title="Config",
        description=f"{description} Empty: {default or 'configs/<MODEL_NAME>.yaml'}.",
    )
