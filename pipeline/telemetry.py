"""Environment variables that libraries read: telemetry off, and MLflow's timeouts.

A child process gets `TELEMETRY_OFF` in its environment mapping. A process of ours calls
`configure_process` in its start module: `pipeline.entrypoints` (command line, DAG tasks),
`bento_service` or `benchmarks`.
"""

import os

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # Evidently (any value), MLflow and Airflow's providers
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "ITERATIVE_DO_NOT_TRACK": "true",  # the library under Evidently's telemetry
    "SCARF_ANALYTICS": "false",
    # OpenVINO's converter reports unless it detects CI (openvino_telemetry,
    # OptInChecker._run_in_ci); no other library here reads this one of its three variables.
    "TF_BUILD": "leukoflow",
    "NNCF_CI": "true",
}
"""Switches of every library that reports home; SeaweedFS has a flag in the Procfile instead."""
MLFLOW_CLIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    # The standard output of a command is for its result.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Defaults: a server that is down is an error within seconds."""


def configure_process(**defaults: str) -> None:
    """Write `TELEMETRY_OFF` into `os.environ`, and defaults for what is not set there.

    Nothing else writes `os.environ`. Call it before a library is imported that reads a switch.

    Args:
        defaults: further variables and their defaults.
    """
    os.environ.update(TELEMETRY_OFF)
    for name, value in {**MLFLOW_CLIENT, **defaults}.items():
        os.environ.setdefault(name, value)
