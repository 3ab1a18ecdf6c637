"""The review rule, and how a model is scored."""

from pydantic import Field

from pipeline.records import Frozen


class ReviewConfig(Frozen):
    """Targets of the review rule, whose limits are fitted on held-out cells."""

    coverage: float = Field(default=0.82, gt=0, lt=1)
    """Share of held-out cells that is accepted without review."""
    distance_quantile: float = Field(default=0.975, gt=0.5, le=1)
    """Quantile of held-out cells' distance to the training images that is the limit."""


class EvaluateConfig(Frozen):
    """Scoring of a model."""

    prevalence: dict[str, float] = Field(default_factory=dict)
    """Class to its share in a typical sample; without it, precision is reported for equal
    shares."""
    draws: int = Field(default=1000, ge=100)
    """Bootstrap resamples of groups per interval."""
    worst: int = Field(default=12, ge=0, le=60)
    """Number of misclassified cells that the report shows."""
