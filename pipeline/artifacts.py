"""The typed manifests that cross the arrows between steps.

An artefact is an immutable directory whose `manifest.json` was written last. Its address holds
the digest of what it says, so the same content always has the same URI.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, field_validator

from pipeline.contract.spec import ModelContract
from pipeline.errors import ChangedArtifactError
from pipeline.records import Frozen, UtcTime

MANIFEST = "manifest.json"
CIRCUMSTANCES = ("run_id", "code_version", "created_at", "tracking_run")
Precision = Literal["int8-thin", "int8", "bf16", "f32"]
"""Precision of an engine's convolutions; `int8-thin`: low-rank convolutions in 8 bits."""


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
    """A dataset whose records carry group and cell: `records.csv`; `links.csv` says why.

    `locked.csv` lists images of the locked test part that are no longer in the dataset and belong
    to a group that is; every link joins two images of these two tables. What the data gate set
    aside stands in `quarantine.csv` and `report.html`.
    """

    kind: Literal["grouping"] = "grouping"
    method: str


class SplitManifest(Manifest):
    """A grouping assigned to train, val, test and reserve: `records.csv`.

    `quarantine.csv` lists returned images of the test part: locked, and not scored.
    """

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
    start: UtcTime
    end: UtcTime


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


def model_name(tag: str) -> str:
    """The name in `<name>:<version>`; empty when there is none."""
    return tag.rpartition(":")[0]


def require_files(folder: Path, files: Mapping[str, str]) -> None:
    """Compare files below a folder with the SHA-256 that their manifest gives.

    Raises:
        ChangedArtifactError: when one is missing or holds something else.
    """
    for name, expected in files.items():
        path = folder / name
        received = sha256_file(path) if path.is_file() else "no file"
        if received != expected:
            raise ChangedArtifactError(
                f"{path} does not match its manifest", expected=expected, received=received
            )


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and a final newline, the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, indent=2, default=str) + "\n"
