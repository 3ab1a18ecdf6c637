"""Limit at which two images are taken to show the same cell."""

from pydantic import Field

from pipeline.records import Frozen


class GroupConfig(Frozen):
    """How images of one cell are matched when no manifest or file name groups them."""

    min_inliers: int = Field(default=15, ge=6)
    """Minimum number of keypoint pairs that one affine map must align: unrelated photographs reach
    8, copies of one about 120 (docs/decisions/0007-near-duplicates.md)."""
