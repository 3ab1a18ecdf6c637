"""What the DAGs tell each other, as Airflow's asset graph shows it."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

RETRAIN_REQUESTED = Asset("retrain_requested")
"""Only shown: each request starts its own run by name, because Airflow folds asset events that come
while a training runs into one run."""
MODEL_PROMOTED = Asset("model_promoted")
"""Starts a deployment. Extra: training `config` and URI of the `served` bundle."""


def promoted(context: Mapping[str, Any], field: str) -> Any:
    """A field of the newest promotion that started this run, else of the run's form."""
    events = context["triggering_asset_events"]
    said = events[MODEL_PROMOTED][-1].extra if MODEL_PROMOTED in events else context["params"]
    return said[field]
