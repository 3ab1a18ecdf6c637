"""What a run does: read from `configs/NAME.yaml`, overridable per run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.artifacts import Frozen
from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError


class IngestConfig(Frozen):
    """Limits an archive must keep before a byte of it is written outside staging."""

    max_archive_bytes: int = 4_000_000_000
    max_members: int = 200_000
    max_member_bytes: int = 50_000_000
    max_total_bytes: int = 16_000_000_000
    max_ratio: float = 100.0
    """Uncompressed over compressed size of one member."""
    group_pattern: str = ""
    """Regular expression with one group, matched against the file name, that names the cell."""
    limit: int = 0
    """Images taken per class and archive, 0 for all; chosen by hash so that it is repeatable."""


class ValidateConfig(Frozen):
    """What an image and a dataset must be."""

    min_side: int = 32
    max_pixels: int = 24_000_000
    min_images_per_class: int = 8
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)


class GroupConfig(Frozen):
    """How images of one cell find each other when nobody says so."""

    min_similarity: float = Field(default=0.82, gt=0, le=1)
    """Least correlation of two nuclei' surroundings, best of all turns and mirrors."""


class SplitConfig(Frozen):
    """Shares of groups, dealt by hash within their class."""

    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    val_share: float = Field(default=0.15, gt=0, lt=0.5)


class FeaturesConfig(Frozen):
    """The frozen part of the network."""

    boundary: str = "block5_pool"
    shards: int = Field(default=2, ge=1, le=16)
    batch_size: int = Field(default=16, ge=1)


class TrainConfig(Frozen):
    """The head and how it learns."""

    epochs: int = Field(default=40, ge=1)
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    patience: int = Field(default=6, ge=1)
    seed: int = 7
    golden_per_class: int = Field(default=2, ge=1, le=8)


class GateConfig(Frozen):
    """Margins and floors a challenger must keep."""

    min_balanced_accuracy: float = Field(default=0.6, ge=0, le=1)
    min_class_sensitivity: float = Field(default=0.3, ge=0, le=1)
    max_loss: float = Field(default=0.05, ge=0, le=1)
    """Largest loss of balanced accuracy against the champion that the interval may admit."""
    min_parity: float = Field(default=0.99, ge=0, le=1)
    """Least top-1 agreement of the serving engine with Keras."""
    max_latency_ms: float = Field(default=500.0, gt=0)
    draws: int = Field(default=1000, ge=100)


class RunConfig(Frozen):
    """One YAML file of `configs/`."""

    contract: ModelContract
    ingest: IngestConfig = IngestConfig()
    validation: ValidateConfig = ValidateConfig()
    group: GroupConfig = GroupConfig()
    split: SplitConfig = SplitConfig()
    features: FeaturesConfig = FeaturesConfig()
    train: TrainConfig = TrainConfig()
    gate: GateConfig = GateConfig()

    @property
    def name(self) -> str:
        """Archives, snapshots, splits and the pointer live under it."""
        return self.contract.name

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> "RunConfig":
        if len(set(self.contract.classes)) != len(self.contract.classes):
            raise ValueError("classes must be distinct")
        return self


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a YAML config; `overrides` are dotted keys such as `ingest.limit`.

    Raises:
        InvalidInputError: when the file is absent or says something a config cannot.
    """
    if not path.is_file():
        raise InvalidInputError("no such config", expected="configs/NAME.yaml", received=str(path))
    try:
        values = yaml.safe_load(path.read_text()) or {}
        for key, value in (overrides or {}).items():
            _set(values, key.split("."), value)
        return RunConfig.model_validate(values)
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidInputError(f"{path}: {error}") from error


def _set(values: Any, path: list[str], value: Any) -> None:
    for part in path[:-1]:
        if isinstance(values, dict):
            values = values.setdefault(part, {})
    if not isinstance(values, dict):
        raise InvalidInputError("an override leads nowhere", received=".".join(path))
    values[path[-1]] = value
