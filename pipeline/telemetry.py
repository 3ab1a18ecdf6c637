"""Every library that would report home, switched off before it is imported."""

from collections.abc import MutableMapping

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "true",  # Evidently (any value), MLflow and Airflow's providers
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "ITERATIVE_DO_NOT_TRACK": "true",  # the library under Evidently's telemetry
    "SCARF_ANALYTICS": "false",
    # OpenVINO's converter reports unless it believes to run in CI (openvino_telemetry,
    # OptInChecker._run_in_ci); of the three variables it looks at, this one disturbs nobody else.
    "TF_BUILD": "leukoflow",
    "NNCF_CI": "true",
}
"""SeaweedFS has a flag in the Procfile instead."""


def silence(environment: MutableMapping[str, str]) -> None:
    """Set every switch in an environment, usually `os.environ`."""
    environment.update(TELEMETRY_OFF)
