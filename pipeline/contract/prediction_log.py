"""Log line of a prediction: data for monitoring, without pixels or personal data."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.contract.image_stats import ImageStats


class PredictionRecord(BaseModel):
    """A line of `logs/<name>/<date>/<worker>-<seq>.jsonl`: no pixels, file names or EXIF."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    request_id: str
    time: datetime
    tag: str
    route: str
    label: str
    decision: str
    probabilities: dict[str, float]
    """Class to probability, in the contract's order."""
    cell_found: bool
    stats: ImageStats
    embedding: tuple[float, ...]
    image: str = Field(default="", exclude_if=lambda sha256: not sha256)
    """SHA-256 of the kept PNG, at `kept/<name>/` and `kept_image_path`; empty when none was kept.

    Clients choose request ids, so two requests can have one: this field identifies the image.
    """


def kept_image_path(time: datetime, sha256: str) -> str:
    """Path below `kept/<name>/` of a kept image, `<date>/<sha256>.png`."""
    return f"{time.date().isoformat()}/{sha256}.png"


class ReferenceRecord(BaseModel):
    """A line of an evaluation's `reference.jsonl`: a held-out image as the service would log it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    """Slide, patient or source cell: the unit that is resampled."""
    cell: str = ""
    """Cell within the group; version 0.1 wrote none, since its groups were cells."""
    truth: str
    record: PredictionRecord

    @model_validator(mode="before")
    @classmethod
    def _default_cell_to_group(cls, line: Any) -> Any:
        """Read a line of version 0.1, which wrote no cell: its group was the cell."""
        has_cell = not isinstance(line, dict) or line.get("cell")
        return line if has_cell else {**line, "cell": line.get("group", "")}
