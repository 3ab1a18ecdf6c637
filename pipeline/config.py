"""Configuration of a training run: a YAML file in `configs/`, with overrides per run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.contract.decoding import MAX_PIXELS
from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


class IngestConfig(Frozen):
    """Limits of an archive, checked before anything is written outside the staging folder."""

    max_archive_bytes: int = 4_000_000_000
    max_members: int = 200_000
    max_member_bytes: int = 50_000_000
    max_total_bytes: int = 16_000_000_000
    max_ratio: float = 100.0
    """Maximum ratio of uncompressed to compressed size of a member."""
    group_pattern: str = ""
    """Regular expression with one group, matched against the file name: the slide, patient or
    source cell."""
    limit: int = 0
    """Maximum number of images per class and archive, chosen by hash; 0: all."""


class GatherConfig(Frozen):
    """When an archive is made of returned labels."""

    min_labels: int = Field(default=20, ge=1)
    """Minimum number of newly labelled images."""
    days: int = Field(default=30, ge=1, le=400)
    """Days of predictions and labels that are read."""
    max_bytes: int = Field(default=1_000_000_000, ge=100_000_000)
    """Maximum size of the images in one archive; the rest enters the next."""


class ValidateConfig(Frozen):
    """Limits of an image and a dataset."""

    min_side: int = 32
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, le=MAX_PIXELS)
    min_images_per_class: int = 8
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)


class GroupConfig(Frozen):
    """How images of one cell are matched when no manifest or file name groups them."""

    min_inliers: int = Field(default=15, ge=6)
    """Minimum number of keypoint pairs that one affine map must align: unrelated photographs reach
    8, copies of one about 120 (docs/decisions/0007-near-duplicates.md)."""


class DataGateConfig(Frozen):
    """What happens to cells with contradictory labels."""

    two_labels: Literal["quarantine", "stop"] = "quarantine"
    """For a cell whose images are labelled with two classes."""
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Maximum share of images quarantined; above it the step fails."""


class SplitConfig(Frozen):
    """Shares of groups, assigned by hash within their class."""

    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    val_share: float = Field(default=0.15, gt=0, lt=0.5)
    reserve_share: float = Field(default=0.0, ge=0, lt=0.5, exclude_if=lambda share: not share)
    """Share of cells used neither for training nor for scoring; the demo's drift window needs them.
    A class with too few cells for a fourth part has no reserve."""


class FeaturesConfig(Frozen):
    """The frozen part of the network."""

    boundary: Literal["block3_pool", "block4_pool", "block5_pool"] = "block3_pool"
    """Freeze boundary: layers up to here are frozen and computed once per image."""
    keep: Literal["regions", "maps"] = "regions"
    """What is cached. `regions`: means of every frozen block over the nucleus and its surroundings,
    on which a linear head is fitted. `maps`: the boundary's activations, on which VGG16's remaining
    blocks and the head are trained."""
    jitters: int = Field(default=0, ge=0, le=8)
    """Additional crops per image with jittered colour and scale, from which training samples."""
    shards: int = Field(default=2, ge=1, le=16)
    batch_size: int = Field(default=16, ge=1)


class TrainConfig(Frozen):
    """Training of the unfrozen part; docs/experiments.md lists the experiments."""

    penalty: float = Field(default=0.5, gt=0)
    """L2 penalty of the head for `keep: regions`: factor of half the squared weights, added to the
    mean loss. Of the fields below, `keep: regions` uses `folds`, `copies`, `seed` and
    `golden_per_class`; the others are for `keep: maps`."""
    folds: int = Field(default=5, ge=2)
    """Folds for calibration: each fold's held-out cells calibrate a head fitted on the others."""
    epochs: int = Field(default=8, ge=1)
    steps: int = Field(default=100, ge=1)
    """Batches per epoch; images are sampled by weight."""
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=2e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    mixup: float = Field(default=0.2, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    averaging: float = Field(default=0.98, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, per step."""
    copies: float = Field(default=0.5, ge=0, le=1)
    """A cell with n images is sampled n**copies times as often as a cell with one."""
    seed: int = 7
    golden_per_class: int = Field(default=2, ge=1, le=8)


class GateConfig(Frozen):
    """Thresholds and margins of the gate; docs/decisions/0005-gate-margins.md explains them."""

    min_balanced_accuracy: float = Field(default=0.6, ge=0, le=1)
    min_class_sensitivity: float = Field(default=0.3, ge=0, le=1)
    first_min_low: float = Field(default=0.5, ge=0, le=1)
    """Minimum lower bound of balanced accuracy for a first model, which has no champion."""
    max_loss: float = Field(default=0.05, ge=0, le=1)
    """Maximum loss of balanced accuracy against the champion, at the percentile-bootstrap lower
    bound."""
    max_class_loss: float = Field(default=0.25, ge=0, le=1)
    """The same for each class's sensitivity; few cells make wide intervals."""
    min_class_cells: int = Field(default=3, ge=2)
    """Minimum number of cells per class that neither model was trained on."""
    max_calibration_error: float = Field(default=0.05, ge=0, le=1)
    """Maximum of the lower bound of the expected calibration error."""
    min_parity: float = Field(default=0.995, ge=0, le=1)
    """Minimum top-1 agreement of the serving engine with Keras."""
    max_parity_loss: float = Field(default=0.002, ge=0, le=1)
    """Maximum loss of balanced accuracy of the serving engine against Keras."""
    max_latency_ms: float = Field(default=500.0, gt=0)
    max_size_mb: float = Field(default=250.0, gt=0)
    """Maximum size of the served bundle, in 10^6 bytes."""
    draws: int = Field(default=1000, ge=100)


class ReviewConfig(Frozen):
    """Targets of the review rule, whose limits are fitted on held-out cells."""

    coverage: float = Field(default=0.82, gt=0, lt=1)
    """Share of held-out cells that is accepted without review."""
    distance_quantile: float = Field(default=0.975, gt=0.5, le=1)
    """Quantile of held-out cells' distance to the training images that is the limit."""


class EvaluateConfig(Frozen):
    """Scoring of a model."""

    prevalence: dict[str, float] = Field(default_factory=dict)
    """Class to its share in a typical sample; without it, precision is reported for equal
    shares."""
    draws: int = Field(default=1000, ge=100)
    """Bootstrap resamples of groups per interval."""
    worst: int = Field(default=12, ge=0, le=60)
    """Number of misclassified cells that the report shows."""


class CrossvalConfig(Frozen):
    """Settings of cross-validation, in addition to the run's config."""

    folds: int = Field(default=5, ge=3)
    """One fold is scored, half of another calibrates, the rest is trained on."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Share of each class's cells that is trained on; several shares give a learning curve."""
    unknown: str = ""
    """A class that is left out of training, to measure whether its images are sent to review."""


class RunConfig(Frozen):
    """One YAML file in `configs/`."""

    contract: ModelContract
    ingest: IngestConfig = IngestConfig()
    validation: ValidateConfig = ValidateConfig()
    group: GroupConfig = GroupConfig()
    data_gate: DataGateConfig = DataGateConfig()
    split: SplitConfig = SplitConfig()
    features: FeaturesConfig = FeaturesConfig()
    train: TrainConfig = TrainConfig()
    review: ReviewConfig = ReviewConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()

    @property
    def name(self) -> str:
        """Name of the dataset and model: part of the URIs of archives, artefacts and pointer."""
        return self.contract.name

    @model_validator(mode="after")
    def _require_distinct_classes(self) -> "RunConfig":
        if len(set(self.contract.classes)) != len(self.contract.classes):
            raise ValueError("classes must be distinct")
        return self

    @model_validator(mode="after")
    def _require_full_prevalence(self) -> "RunConfig":
        shares = self.evaluate.prevalence
        if shares and (set(shares) != set(self.contract.classes) or min(shares.values()) <= 0):
            raise ValueError("evaluate.prevalence must have a share above 0 for every class")
        return self


def load_config(path: Path, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Read a YAML config with dotted-key overrides; InvalidInputError if missing or invalid."""
    if not path.is_file():
        raise InvalidInputError(
            "config file not found", expected="configs/NAME.yaml", received=str(path)
        )
    try:
        values = yaml.safe_load(path.read_text()) or {}
        for key, value in (overrides or {}).items():
            _set_nested(values, key.split("."), value)
        return RunConfig.model_validate(values)
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidInputError(f"invalid config {path}: {error}") from error


def _set_nested(values: Any, path: list[str], value: Any) -> None:
    """Set a nested key in place, and make its parents; InvalidInputError if one is no mapping."""
    for part in path[:-1]:
        if isinstance(values, dict):
            values = values.setdefault(part, {})
    if not isinstance(values, dict):
        raise InvalidInputError(
            "an override names no config key",
            expected="a dotted key such as ingest.limit",
            received=".".join(path),
        )
    values[path[-1]] = value
