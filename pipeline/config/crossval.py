"""Folds of a cross-validation, and the class that it may leave out."""

from pydantic import Field

from pipeline.records import Frozen


class CrossvalConfig(Frozen):
    """Settings of cross-validation, in addition to the run's config."""

    folds: int = Field(default=5, ge=3)
    """One fold is scored, half of another calibrates, the rest is trained on."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of each class's cells that is trained on; several shares give a learning curve."""
    unknown: str = ""
    """A class that is left out of training, to measure whether its images are sent to review."""
