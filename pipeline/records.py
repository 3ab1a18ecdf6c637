"""What is written down row by row: images and what was found out about them, as tables."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from pipeline.errors import ArtifactError

Part = Literal["train", "val", "test", "reserve", ""]
FITTED: tuple[Part, ...] = ("train", "val")
"""Parts that a model, its calibration or a recipe may be fitted to."""
RETURNED = "returned/"
"""Folder of the images in an archive of labels that came back through the service."""
RecordT = TypeVar("RecordT", bound=BaseModel)


def utc(time: datetime) -> datetime:
    """The same moment in UTC; a time without an offset is UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


UtcTime = Annotated[datetime, AfterValidator(utc)]
"""A time whose date and hour are UTC's, whatever offset it was given with."""


class Frozen(BaseModel):
    """Base of everything that is written down: unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(Frozen):
    """One image of a dataset; columns fill up as it passes the steps."""

    sha256: str
    label: str
    file: str
    archive: str
    """URI of the ingested archive artefact whose packs hold the bytes."""
    hint: str = ""
    """Group named by a manifest column or a file-name pattern, if any."""
    cell_hint: str = ""
    """Cell named by a manifest column, if any."""
    group: str = ""
    """Slide, patient or source cell: never split; what intervals resample."""
    cell: str = ""
    """The cell that the image shows, within its group: what votes."""
    part: Part = ""

    @model_validator(mode="before")
    @classmethod
    def _cell_is_the_group(cls, row: Any) -> Any:
        """Earlier versions wrote no cell: their group was the cell."""
        known = not isinstance(row, dict) or row.get("cell")
        return row if known else {**row, "cell": row.get("group", "")}

    @property
    def named_group(self) -> str:
        """The group that the archive's maker named, else empty; a cell without one is its own."""
        return self.hint or self.cell_hint

    @property
    def returned(self) -> bool:
        """Whether a caller of the service gave the label, and not who made the archive."""
        folder, slash, name = self.file.partition("/")
        return f"{folder}{slash}" == RETURNED and "/" not in name


class Quarantined(Frozen):
    """An image that validation set aside, and why."""

    sha256: str
    label: str
    file: str
    archive: str
    reason: str


class Link(Frozen):
    """Two images, by hash, that were found to show one cell."""

    one: str
    other: str
    inliers: int
    """Keypoints that agree on how one image lies on the other."""


def to_csv(records: Iterable[BaseModel], model: type[BaseModel], *, quote_all: bool = False) -> str:
    """Records as CSV with a header, also when there are none."""
    out = io.StringIO()
    fields = list(model.model_fields)
    writer = csv.DictWriter(
        out,
        fields,
        lineterminator="\n",
        quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
    )
    writer.writeheader()
    writer.writerows(record.model_dump() for record in records)
    return out.getvalue()


def from_csv(text: str, model: type[RecordT]) -> list[RecordT]:
    """Read records back; a column that an earlier version did not write takes its default.

    Raises:
        ArtifactError: when the columns are not the model's.
    """
    reader = csv.DictReader(io.StringIO(text))
    fields = list(model.model_fields)
    received = list(reader.fieldnames or [])
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    in_order = [name for name in fields if name in received]
    if received != in_order or not required <= set(received):
        raise ArtifactError(
            f"not a table of {model.__name__}",
            expected=",".join(fields),
            received=",".join(received),
        )
    return [model.model_validate(row) for row in reader]
