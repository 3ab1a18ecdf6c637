"""Table rows that the steps exchange: images, quarantined images and matches, as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.errors import ArtifactError

Part = Literal["train", "val", "test", "reserve", ""]
FITTED: tuple[Part, ...] = ("train", "val")
"""Parts to which a model, its calibration or a recipe may be fitted."""
RETURNED = "returned/"
"""Folder of the images in an archive of labels returned through the service."""
RecordT = TypeVar("RecordT", bound=BaseModel)


def is_returned(file: str) -> bool:
    """Whether a path is that of an image in an archive of returned labels."""
    folder, slash, name = file.partition("/")
    return f"{folder}{slash}" == RETURNED and "/" not in name


def n_files(count: int) -> str:
    """A number of files with its verb: `1 file is`, `2 files are`."""
    return f"{count} file is" if count == 1 else f"{count} files are"


def utc(time: datetime) -> datetime:
    """The time converted to UTC; a time without an offset is taken as UTC."""
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


UtcTime = Annotated[datetime, AfterValidator(utc)]
"""A time that is converted to UTC on validation."""


class Frozen(BaseModel):
    """Base of persisted models: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(Frozen):
    """One image of a dataset under one label; later steps fill in the later columns."""

    sha256: str
    label: str
    file: str
    archive: str
    """URI of the ingested archive artefact whose packs contain the image."""
    hint: str = ""
    """Group from `manifest.csv` or the file-name pattern; empty if neither names one."""
    cell_hint: str = ""
    """Cell from `manifest.csv`; empty if it names none."""
    group: str = ""
    """Slide, patient or source cell: never split, and the unit that intervals resample."""
    cell: str = ""
    """The cell in the image, within its group: the unit that is scored."""
    part: Part = ""

    @model_validator(mode="before")
    @classmethod
    def _default_cell_to_group(cls, row: Any) -> Any:
        """Earlier versions wrote no cell: their group was the cell."""
        has_cell = not isinstance(row, dict) or row.get("cell")
        return row if has_cell else {**row, "cell": row.get("group", "")}

    @property
    def named_group(self) -> str:
        """The group named in the archive, else the named cell, else empty."""
        return self.hint or self.cell_hint

    @property
    def returned(self) -> bool:
        """Whether the label was returned through the service, not given by the archive's maker."""
        return is_returned(self.file)


class Quarantined(Frozen):
    """An image that a step excluded from the dataset, and the reason."""

    sha256: str
    label: str
    file: str
    archive: str
    reason: str


class Skipped(Frozen):
    """A file of an archive that ingest does not read, and the reason: a row of `skipped.csv`."""

    file: str
    kind: Literal["ignored", "skipped"] = "skipped"
    """`ignored` for metadata that programs add, `skipped` for all others."""
    reason: str


class FileCounts(Frozen):
    """Numbers of files that ingest does not read, by kind and reason, the largest first."""

    ignored: dict[str, int] = Field(default_factory=dict)
    skipped: dict[str, int] = Field(default_factory=dict)

    @field_validator("ignored", "skipped")
    @classmethod
    def _sort(cls, counts: dict[str, int]) -> dict[str, int]:
        """Stored JSON has the reasons in another order."""
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    @classmethod
    def of(cls, files: Iterable[Skipped]) -> "FileCounts":
        """The counts of some files."""
        every = list(files)
        return cls(
            ignored=Counter(one.reason for one in every if one.kind == "ignored"),
            skipped=Counter(one.reason for one in every if one.kind == "skipped"),
        )

    def lines(self) -> list[str]:
        """One line per kind: `3 files are skipped: text 2, table 1`; none without files."""
        kinds = (("ignored", self.ignored), ("skipped", self.skipped))
        return [
            f"{n_files(sum(counts.values()))} {kind}: "
            + ", ".join(f"{reason} {count}" for reason, count in counts.items())
            for kind, counts in kinds
            if counts
        ]


class ImageMatch(Frozen):
    """Two images, by hash, that the near-duplicate search proved to show one cell."""

    one: str
    other: str
    inliers: int
    """Keypoints that agree on the affine map between the images."""


def escape_formula(name: str) -> str:
    """The name; with an apostrophe first if a spreadsheet would run it as a formula."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def to_csv(records: Iterable[BaseModel], model: type[BaseModel], *, quote_all: bool = False) -> str:
    """Records as CSV with a header; without records, the header alone."""
    out = io.StringIO()
    fields = list(model.model_fields)
    writer = csv.DictWriter(
        out, fields, lineterminator="\n", quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    )
    writer.writeheader()
    writer.writerows(record.model_dump() for record in records)
    return out.getvalue()


def from_csv(text: str, model: type[RecordT]) -> list[RecordT]:
    """Records from CSV; ArtifactError for wrong columns, but an optional one may be missing."""
    reader = csv.DictReader(io.StringIO(text))
    fields = list(model.model_fields)
    received = list(reader.fieldnames or [])
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    in_order = [name for name in fields if name in received]
    if received != in_order or not required <= set(received):
        raise ArtifactError(
            f"the CSV is not a table of {model.__name__} records",
            expected=",".join(fields),
            received=",".join(received),
        )
    return [model.model_validate(row) for row in reader]
