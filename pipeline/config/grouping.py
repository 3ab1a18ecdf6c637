"""When images match, and what the data gate does with contradictory labels."""

from typing import Literal

from pydantic import Field

from pipeline.records import Frozen


class GroupConfig(Frozen):
    """How images of one cell are matched when no manifest or file name groups them."""

    min_inliers: int = Field(default=15, ge=6)
    """Minimum number of keypoint pairs that one affine map must align: unrelated photographs reach
    8, copies of one about 120 (docs/decisions/0007-near-duplicates.md)."""


class DataGateConfig(Frozen):
    """What happens to cells with contradictory labels."""

    two_labels: Literal["quarantine", "stop"] = "quarantine"
    """For a cell whose images are labelled with two classes."""
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Maximum share of images quarantined; above it the step fails."""
