"""The typed manifests that cross the arrows between steps.

An artefact is an immutable directory whose `manifest.json` was written last. Its address holds
the digest of what it says, so the same content always has the same URI.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.contract.spec import ModelContract
from pipeline.errors import ArtifactError

MANIFEST = "manifest.json"
CIRCUMSTANCES = ("run_id", "code_version", "created_at", "tracking_run")
Part = Literal["train", "val", "test", ""]
Precision = Literal["int8-thin", "int8", "bf16", "f32"]
"""What an engine computes its convolutions in; `int8-thin`: in 8 bits, through thinner ones."""
RecordT = TypeVar("RecordT", bound=BaseModel)


RETURNED = "returned/"
"""Folder of the images in an archive of labels that came back through the service."""


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
    group: str = ""
    part: Part = ""

    @property
    def returned(self) -> bool:
        """Whether a caller of the service gave the label, and not who made the archive."""
        return self.file.startswith(RETURNED)


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


class Manifest(Frozen):
    """What closes an artefact directory."""

    kind: str
    name: str
    run_id: str
    code_version: str
    created_at: datetime
    inputs: dict[str, str] = Field(default_factory=dict)
    """Role to URI (or source) of what this was made from."""
    counts: dict[str, int] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    """Relative path to SHA-256 of every file; filled in when it is published."""

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if str(path) != name or not path.name or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{name!r} is no path below the artefact")
        return files

    def digest(self) -> str:
        """SHA-256 over everything but who ran it, when, and where it was tracked."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(said: Mapping[str, Any]) -> str:
    """Digest of a manifest as it was written.

    A field that a later version added is no change: its default was not written down then.
    """
    counts = {name: value for name, value in said.items() if name not in CIRCUMSTANCES}
    return hashlib.sha256(json.dumps(counts, sort_keys=True).encode()).hexdigest()


class ArchiveManifest(Manifest):
    """An archive's images, verified and repacked as stored zips by image hash."""

    kind: Literal["archive"] = "archive"
    sha256: str
    bytes: int


class ArchiveRef(Frozen):
    """An ingested archive inside a snapshot; what its file was called is no content."""

    uri: str
    sha256: str


class SnapshotManifest(Manifest):
    """The union of archives, frozen by content: `records.csv`."""

    kind: Literal["snapshot"] = "snapshot"
    archives: tuple[ArchiveRef, ...]


class DatasetManifest(Manifest):
    """A validated snapshot: `records.csv`, `quarantine.csv`, `report.html`."""

    kind: Literal["dataset"] = "dataset"


class GroupingManifest(Manifest):
    """A dataset whose records carry their source cell: `records.csv`; `links.csv` says why.

    `locked.csv` lists images of the locked test part that are no longer in the dataset and show a
    cell that is. What the data gate set aside stands in `quarantine.csv` and `report.html`.
    """

    kind: Literal["grouping"] = "grouping"
    method: str


class SplitManifest(Manifest):
    """A grouping dealt into train, val and test: `records.csv`."""

    kind: Literal["split"] = "split"


class WeightsManifest(Manifest):
    """ImageNet VGG16 convolutions as plain arrays: `weights.npz`."""

    kind: Literal["weights"] = "weights"
    source: str
    normalization: Literal["torch", "caffe"]
    """What the weights expect: RGB/255 standardised, or BGR minus the mean."""


class PackManifest(Manifest):
    """Activations of some images at the freeze boundary: `activations.npy`, `images.txt`."""

    kind: Literal["pack"] = "pack"
    cache_key: str


class FeaturesManifest(Manifest):
    """One shard of a split: the packs that together hold its images' activations."""

    kind: Literal["features"] = "features"
    cache_key: str
    packs: tuple[str, ...]


class BundleManifest(Manifest):
    """A trained Keras model, the source of truth: `model.keras`, contract, golden, curves."""

    kind: Literal["bundle"] = "bundle"
    tracking_run: str = ""
    """MLflow run id, empty while tracking is unreachable."""


class EngineParity(Frozen):
    """How far the serving engine is from Keras on images of the locked part."""

    images: int
    top1_agreement: float
    max_probability_difference: float
    accuracy_loss: float = Field(default=0.0, exclude_if=lambda loss: not loss)
    """Keras's balanced accuracy less the engine's, 0 to 1; below 0 where the engine does better."""


class Parity(EngineParity):
    """The same, and what the engine computes in."""

    precision: Precision
    operations: float = Field(default=1.0, exclude_if=lambda share: share == 1.0)
    """Share of the network's multiplications that the engine does, 0 to 1."""


class ServedManifest(Manifest):
    """A bundle exported to the serving engine: `model.xml`, `model.bin`, contract, golden."""

    kind: Literal["served"] = "served"
    tag: str
    """`<name>:<12 hex digits of the Keras bundle's digest>`."""
    contract: ModelContract
    parity: Parity
    tracking_run: str = ""


class EvaluationManifest(Manifest):
    """Scores on the locked part: report, model card, predictions and the drift reference."""

    kind: Literal["evaluation"] = "evaluation"
    tag: str


class VerdictManifest(Manifest):
    """What the gate said: `verdict.json`, `verdict.html`."""

    kind: Literal["verdict"] = "verdict"
    tag: str
    passed: bool


class BentoManifest(Manifest):
    """A Bento with the model baked in, as a folder, after it answered its golden images."""

    kind: Literal["bento"] = "bento"
    tag: str


class WindowManifest(Manifest):
    """A dated window of the prediction log: `predictions.jsonl`."""

    kind: Literal["window"] = "window"
    start: datetime
    end: datetime


class DriftManifest(Manifest):
    """A window tested against the reference: `drift.json`, `report.html`, `report.json`."""

    kind: Literal["drift"] = "drift"
    tag: str
    alarm: bool


M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True)
class Artifact(Generic[M]):
    """An address and what stands there."""

    uri: str
    manifest: M

    @property
    def digest(self) -> str:
        """Digest of the manifest, from which the address is made."""
        return self.manifest.digest()


def model_tag(bundle: Artifact[BundleManifest]) -> str:
    """`<name>:<12 hex digits of the bundle digest>`."""
    return f"{bundle.manifest.name}:{bundle.digest[:12]}"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
    """Read records back.

    Raises:
        ArtifactError: when the columns are not the model's.
    """
    reader = csv.DictReader(io.StringIO(text))
    fields = list(model.model_fields)
    if list(reader.fieldnames or []) != fields:
        raise ArtifactError(
            f"not a table of {model.__name__}",
            expected=",".join(fields),
            received=",".join(reader.fieldnames or []),
        )
    return [model.model_validate(row) for row in reader]


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and a final newline, the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, indent=2, default=str) + "\n"
