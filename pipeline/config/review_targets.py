"""Targets of the review rule: which share of images is accepted without a person."""

from pydantic import Field

from pipeline.records import Frozen


class ReviewConfig(Frozen):
    """Targets of the review rule, whose limits are fitted on held-out cells."""

    coverage: float = Field(default=0.82, gt=0, lt=1)
    """Share of held-out cells that is accepted without review."""
    distance_quantile: float = Field(default=0.975, gt=0.5, le=1)
    """Quantile of held-out cells' distance to the training images that is the limit."""
