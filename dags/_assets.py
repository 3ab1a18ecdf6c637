"""The assets through which the DAGs start one another, and what their events say."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

RETRAIN_REQUESTED = Asset("retrain_requested")
"""Extra: `name` of the model, training `config` and `reason`."""
MODEL_PROMOTED = Asset("model_promoted")
"""Extra: training `config` and URI of the `served` bundle."""


def events(context: Mapping[str, Any], asset: Asset) -> list[dict[str, Any]]:
    """Extras of the events of one asset that started this run, oldest first."""
    started_by = context["triggering_asset_events"]
    return [event.extra for event in started_by[asset]] if asset in started_by else []


def asked(context: Mapping[str, Any], asset: Asset, field: str) -> Any:
    """A field of the newest event that started this run, else of the run's form."""
    said: Mapping[str, Any] = (events(context, asset) or [context["params"]])[-1]
    return said[field]
