"""Shares of the test, validation and reserve part of a split; the rest is trained on."""

from pydantic import Field

from pipeline.records import Frozen


class SplitConfig(Frozen):
    """Shares of groups, assigned by hash within their class."""

    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    val_share: float = Field(default=0.15, gt=0, lt=0.5)
    reserve_share: float = Field(default=0.0, ge=0, lt=0.5, exclude_if=lambda share: not share)
    """Share of cells used neither for training nor for scoring; the demo's drift window needs them.
    A class with too few cells for a fourth part has no reserve."""
