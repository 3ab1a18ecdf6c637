"""Environment variables that libraries read: telemetry, MLflow's timeouts, proxies.

A child process gets `TELEMETRY_OFF` in its environment mapping. A process of ours calls
`configure_process` in its start module: `pipeline.entrypoints` (command line, DAG tasks),
`bento_service` or `benchmarks`.
"""

import os
from collections.abc import Mapping

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

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
"""Names of the variables with a proxy; libraries read them in small letters, too."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def loopback_without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY` and `no_proxy` with loopback and what either has; empty without a proxy.

    Libraries read one or the other, so both get the same value.
    """
    names = {*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES)}
    if not any(environment.get(name) for name in names):
        return {}
    listed = ",".join(environment.get(name, "") for name in ("NO_PROXY", "no_proxy")).split(",")
    hosts = dict.fromkeys([*_LOOPBACK, *(host.strip() for host in listed if host.strip())])
    value = "*" if "*" in hosts else ",".join(hosts)  # in a list, urllib reads `*` as a name
    return {"NO_PROXY": value, "no_proxy": value}


def configure_process(**defaults: str) -> None:
    """Write `TELEMETRY_OFF` into `os.environ`, and defaults for what is not set there.

    With a proxy, loopback is added to `NO_PROXY`: MLflow's client has no other setting for it.

    Nothing else writes `os.environ`. Call it before a library is imported that reads a switch.

    Args:
        defaults: further variables and their defaults.
    """
    os.environ.update(TELEMETRY_OFF)
    os.environ.update(loopback_without_proxy(os.environ))
    for name, value in {**MLFLOW_CLIENT, **defaults}.items():
        os.environ.setdefault(name, value)
