"""Manifests of the artefacts that steps pass to each other.

An artefact is an immutable directory whose `manifest.json` is written last. Its URI contains the
manifest's digest, so equal content has the same URI.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, field_validator

from pipeline.contract.model_contract import ModelContract
from pipeline.records import FileCounts, Frozen, UtcTime

MANIFEST = "manifest.json"
PROVENANCE = ("run_id", "code_version", "created_at", "tracking_run")
"""Fields that do not count for the digest: who made an artefact, when, and where it is tracked."""
CONTENT = "content"
"""Role of an input with the same content and no remarks, such as refused archives."""
Precision = Literal["int8-thin", "int8", "bf16", "f32"]
"""Precision of an engine's convolutions; `int8-thin`: low-rank convolutions in 8 bits."""


class Manifest(Frozen):
    """Base of the manifests: kind, name, provenance, inputs and file hashes of an artefact."""

    kind: str
    name: str
    run_id: str
    code_version: str
    created_at: datetime
    inputs: dict[str, str] = Field(default_factory=dict)
    """Role to URI (or source) of each input."""
    counts: dict[str, int] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    """Relative path to SHA-256 of every file; set when the artefact is published."""

    @field_validator("files")
    @classmethod
    def _require_relative_paths(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if str(path) != name or not path.name or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{name!r} is not a relative path below the artefact")
        return files

    def digest(self) -> str:
        """SHA-256 over all fields except `PROVENANCE`, as hex."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256, as hex, of a manifest's stored JSON without the `PROVENANCE` fields.

    Take the stored JSON, not a parsed manifest: a field that a later version added has a default
    that was not written.
    """
    content = {name: value for name, value in manifest.items() if name not in PROVENANCE}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


NO_FILES = FileCounts()


class ArchiveManifest(Manifest):
    """An ingested archive: its images, verified and repacked into packs by image hash.

    `records.csv` lists the images, `skipped.csv` the files that are not read, if there are any.
    """

    kind: Literal["archive"] = "archive"
    sha256: str
    bytes: int
    left_out: FileCounts = Field(default=NO_FILES, exclude_if=lambda counts: counts == NO_FILES)
    """Numbers of files that are not read."""


class ArchiveRef(Frozen):
    """An ingested archive inside a snapshot; its file name does not count as content."""

    uri: str
    sha256: str


class RefusedArchive(Frozen):
    """An uploaded archive that no caller named and that ingest skipped."""

    uri: str
    etag: str
    reason: str


class SnapshotManifest(Manifest):
    """All archives of a model, frozen by their hashes: `records.csv` lists the images.

    With `refused`, the input `content` is the same snapshot without it.
    """

    kind: Literal["snapshot"] = "snapshot"
    archives: tuple[ArchiveRef, ...]
    left_out: FileCounts = Field(default=NO_FILES, exclude_if=lambda counts: counts == NO_FILES)
    """Numbers of files of the archives that are not read."""
    refused: tuple[RefusedArchive, ...] = Field(default=(), exclude_if=lambda refused: not refused)
    """Archives that are not in the snapshot, each with its reason."""


class DatasetManifest(Manifest):
    """A validated snapshot: `records.csv`, `quarantine.csv`, `report.html`.

    If the report lists refused archives, the input `content` is the same dataset without the list.
    """

    kind: Literal["dataset"] = "dataset"


class GroupingManifest(Manifest):
    """A dataset whose records have a group and a cell: `records.csv`, and matches in `links.csv`.

    `locked.csv` lists images of the locked test part that left the dataset but whose group is in
    it; every match joins two images of these two tables. `quarantine.csv` and `report.html` show
    the images that the data gate quarantined.
    """

    kind: Literal["grouping"] = "grouping"
    method: str


class SplitManifest(Manifest):
    """A grouping assigned to train, val, test and reserve: `records.csv`.

    `quarantine.csv` lists returned images of the test part, which are locked and not scored.
    """

    kind: Literal["split"] = "split"


class WeightsManifest(Manifest):
    """ImageNet VGG16 convolutions as plain arrays: `weights.npz`."""

    kind: Literal["weights"] = "weights"
    source: str
    normalization: Literal["torch", "caffe"]
    """Input normalisation: RGB/255 standardised (torch), or BGR minus the mean (caffe)."""


class PackManifest(Manifest):
    """Activations of some images at the freeze boundary: `activations.npy`, `images.txt`."""

    kind: Literal["pack"] = "pack"
    cache_key: str


class FeaturesManifest(Manifest):
    """Activations of one shard of a split: the packs that contain them."""

    kind: Literal["features"] = "features"
    cache_key: str
    packs: tuple[str, ...]


class BundleManifest(Manifest):
    """A trained Keras model: `model.keras`, contract, golden images, training curves."""

    kind: Literal["bundle"] = "bundle"
    tracking_run: str = ""
    """MLflow run id; empty when MLflow was unreachable."""


class EngineParity(Frozen):
    """Difference between the serving engine and Keras on images of the locked part."""

    images: int
    top1_agreement: float
    max_probability_difference: float
    accuracy_loss: float = Field(default=0.0, exclude_if=lambda loss: not loss)
    """Keras's balanced accuracy minus the engine's, -1 to 1; negative when the engine is better."""


class Parity(EngineParity):
    """Difference of the exported engine from Keras, with the engine's precision."""

    precision: Precision
    operations: float = Field(default=1.0, exclude_if=lambda share: share == 1.0)
    """Share of the network's multiplications that the engine performs, 0 to 1."""


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
    """The gate's verdict: `verdict.json`, `verdict.html`."""

    kind: Literal["verdict"] = "verdict"
    tag: str
    passed: bool


class BentoManifest(Manifest):
    """A Bento folder that contains its model and passed the replay of its golden images."""

    kind: Literal["bento"] = "bento"
    tag: str


class WindowManifest(Manifest):
    """A dated window of the prediction log: `predictions.jsonl`."""

    kind: Literal["window"] = "window"
    start: UtcTime
    end: UtcTime
    promoted: str = Field(default="", exclude_if=lambda tag: not tag)
    """Tag in the pointer when the window was collected; empty in windows of version 0.1."""
    answered: dict[str, int] = Field(default={}, exclude_if=lambda answered: not answered)
    """Tag of each model that predicted in the period, with its number of predictions."""


class DriftManifest(Manifest):
    """A window's drift test against the reference: `drift.json`, `index.html`, `evidently.html`."""

    kind: Literal["drift"] = "drift"
    tag: str
    alarm: bool


M = TypeVar("M", bound=Manifest)


@dataclass(frozen=True)
class Artifact(Generic[M]):
    """An artefact: URI and manifest."""

    uri: str
    manifest: M

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest; the first 24 digits are the last part of the URI."""
        return self.manifest.digest()


def content_uri(artifact: Artifact[M]) -> str:
    """URI of the artefact with the same content and no remarks; its own if it has none.

    Later steps name it as their input: a list of refused archives changes no image, so it must
    give no other model.
    """
    return artifact.manifest.inputs.get(CONTENT, artifact.uri)


def model_tag(bundle: Artifact[BundleManifest]) -> str:
    """Tag of a bundle's model: `<name>:<12 hex digits of the bundle digest>`."""
    return f"{bundle.manifest.name}:{bundle.digest[:12]}"


def model_name(tag: str) -> str:
    """Model name in a tag `<name>:<version>`; empty for a tag without a name."""
    return tag.rpartition(":")[0]
