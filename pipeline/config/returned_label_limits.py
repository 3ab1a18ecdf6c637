"""Limits of an archive of returned labels: number of labels, days read, bytes."""

from pydantic import Field

from pipeline.records import Frozen


class GatherConfig(Frozen):
    """Minimum labels, days read and size of an archive of returned labels."""

    min_labels: int = Field(default=20, ge=1)
    """Minimum number of newly labelled images."""
    days: int = Field(default=30, ge=1, le=400)
    """Days of predictions and labels that are read."""
    max_bytes: int = Field(default=1_000_000_000, ge=100_000_000)
    """Maximum size of the images in one archive; the rest enters the next."""
