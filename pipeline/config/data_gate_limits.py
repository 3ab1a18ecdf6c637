"""Limits of the data gate: how many images with contradictory labels may be quarantined."""

from typing import Literal

from pydantic import Field

from pipeline.records import Frozen


class DataGateConfig(Frozen):
    """What the data gate does with cells whose images have contradictory labels."""

    two_labels: Literal["quarantine", "stop"] = "quarantine"
    """Quarantine the images of a cell labelled with two classes, or refuse the dataset."""
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Maximum share of images quarantined; above it the data gate refuses the dataset."""
