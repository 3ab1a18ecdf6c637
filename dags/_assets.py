"""Assets that connect the DAGs, as Airflow's asset graph shows them."""

from collections.abc import Mapping
from typing import Any

from _form_values import text
from airflow.sdk import Asset

RETRAIN_REQUESTED = Asset("retrain_requested")
"""For the graph only. Each request triggers its own run by name: Airflow merges asset events that
arrive during a training into one run."""
MODEL_PROMOTED = Asset("model_promoted")
"""Starts a deployment. Extra: training `config` and URI of the `served` bundle."""


def promotion_field(context: Mapping[str, Any], field: str) -> str:
    """Field of the promotion that triggered this run; for a manual run, field of the form."""
    events = context["triggering_asset_events"]
    source = events[MODEL_PROMOTED][-1].extra if MODEL_PROMOTED in events else context["params"]
    return text(source, field)
