"""One line per prediction: what monitoring may know, and nothing that shows a patient."""

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
    """SHA-256 of the kept PNG, at `kept/<name>/` and `kept_path`; empty when none was kept.

    Two requests may carry one id, for callers choose them: only this tells whose image it is.
    """


def kept_path(time: datetime, sha256: str) -> str:
    """Where the image answered at a time is kept, below `kept/<name>/`."""
    return f"{time.date().isoformat()}/{sha256}.png"


class ReferenceRecord(BaseModel):
    """A line of an evaluation's `reference.jsonl`: a held-out image as the service would log it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str
    """Slide, patient or source cell: the unit that varies."""
    cell: str = ""
    """Within the group; where version 0.1 wrote none, the group was the cell."""
    truth: str
    record: PredictionRecord

    @model_validator(mode="before")
    @classmethod
    def _cell_is_the_group(cls, line: Any) -> Any:
        known = not isinstance(line, dict) or line.get("cell")
        return line if known else {**line, "cell": line.get("group", "")}
