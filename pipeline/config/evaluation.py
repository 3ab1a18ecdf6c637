"""Prevalence, resamples and shown mistakes of an evaluation."""

from pydantic import Field

from pipeline.records import Frozen


class EvaluateConfig(Frozen):
    """How a model is scored, and how many of its mistakes the evaluation page shows."""

    prevalence: dict[str, float] = Field(default_factory=dict)
    """Class to its share in a typical sample; empty: precision is reported for equal shares."""
    draws: int = Field(default=1000, ge=100)
    """Bootstrap resamples of groups per interval."""
    worst: int = Field(default=12, ge=0, le=60)
    """Number of misclassified cells that the evaluation page shows."""
