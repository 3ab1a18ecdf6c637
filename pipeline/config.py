"""What a run does: read from `configs/NAME.yaml`, overridable per run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


class IngestConfig(Frozen):
    """Limits an archive must keep before a byte of it is written outside staging."""

    max_archive_bytes: int = 4_000_000_000
    max_members: int = 200_000
    max_member_bytes: int = 50_000_000
    max_total_bytes: int = 16_000_000_000
    max_ratio: float = 100.0
    """Uncompressed over compressed size of one member."""
    group_pattern: str = ""
    """Regular expression with one group, matched against the file name, that names the slide, the
    patient or the source cell."""
    limit: int = 0
    """Images taken per class and archive, 0 for all; chosen by hash so that it is repeatable."""


class GatherConfig(Frozen):
    """When returned labels become an archive."""

    min_labels: int = Field(default=20, ge=1)
    """Fewest newly labelled images that are worth a training run."""
    days: int = Field(default=30, ge=1, le=400)
    """How far back answers and labels are read."""
    max_bytes: int = Field(default=1_000_000_000, ge=100_000_000)
    """Of the images in one archive; more wait for the next."""


class ValidateConfig(Frozen):
    """What an image and a dataset must be."""

    min_side: int = 32
    max_pixels: int = 24_000_000
    min_images_per_class: int = 8
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)


class GroupConfig(Frozen):
    """How images of one cell find each other when nobody says so."""

    min_inliers: int = Field(default=15, ge=6)
    """Fewest keypoints of two images that one affine map must bring together: unrelated
    photographs reach 8, copies of one about 120 (docs/decisions/0007-near-duplicates.md)."""


class DataGateConfig(Frozen):
    """What becomes of cells that contradict themselves."""

    two_labels: Literal["quarantine", "stop"] = "quarantine"
    """For a cell whose images stand under two classes."""
    max_quarantined_share: float = Field(default=0.05, ge=0, le=1)
    """Maximum share of images quarantined; above it labels are unreliable and the step fails."""


class SplitConfig(Frozen):
    """Shares of groups, dealt by hash within their class."""

    test_share: float = Field(default=0.2, gt=0, lt=0.5)
    val_share: float = Field(default=0.15, gt=0, lt=0.5)
    reserve_share: float = Field(default=0.0, ge=0, lt=0.5, exclude_if=lambda share: not share)
    """Cells that nothing is fitted to and nothing is scored on, as the demo's drift window needs
    them. A class with too few cells for a fourth part has none."""


class FeaturesConfig(Frozen):
    """The frozen part of the network."""

    boundary: Literal["block3_pool", "block4_pool", "block5_pool"] = "block3_pool"
    """What stands before it is frozen, and paid for once an image."""
    keep: Literal["regions", "maps"] = "regions"
    """What is cached. `regions`: means of every frozen block over the nucleus and over what lies
    around it, behind which a linear head is solved. `maps`: the boundary's activations, behind
    which VGG16's remaining blocks and the head are trained."""
    jitters: int = Field(default=0, ge=0, le=8)
    """Further crops of each image in other colours and scales, which training draws from."""
    shards: int = Field(default=2, ge=1, le=16)
    batch_size: int = Field(default=16, ge=1)


class TrainConfig(Frozen):
    """How the trained part learns; docs/experiments.md has what was tried."""

    penalty: float = Field(default=0.5, gt=0)
    """On half the head's squared weights beside the mean loss, where regions are kept; all that
    follows but `copies` and the golden images is for maps."""
    folds: int = Field(default=5, ge=2)
    """Held-out cells calibrate a head that is solved on the others, each in its turn."""
    epochs: int = Field(default=8, ge=1)
    steps: int = Field(default=100, ge=1)
    """Batches an epoch: images are drawn by weight, so that there is no natural end."""
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=2e-4, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    label_smoothing: float = Field(default=0.1, ge=0, lt=1)
    mixup: float = Field(default=0.2, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    averaging: float = Field(default=0.98, ge=0, lt=1)
    """Share of the running average of the weights that a step keeps."""
    copies: float = Field(default=0.5, ge=0, le=1)
    """A cell with n images is drawn n**copies times as often as one with a single image."""
    seed: int = 7
    golden_per_class: int = Field(default=2, ge=1, le=8)


class GateConfig(Frozen):
    """Floors and margins a challenger must keep, weighed in docs/decisions/0005-gate-margins.md."""

    min_balanced_accuracy: float = Field(default=0.6, ge=0, le=1)
    min_class_sensitivity: float = Field(default=0.3, ge=0, le=1)
    first_min_low: float = Field(default=0.5, ge=0, le=1)
    """What a first model, compared with nobody, must reach with the low end of its interval."""
    max_loss: float = Field(default=0.05, ge=0, le=1)
    """Largest loss of balanced accuracy against the champion that resampled cells may show."""
    max_class_loss: float = Field(default=0.25, ge=0, le=1)
    """The same for the sensitivity to each class; few cells make wide intervals."""
    min_class_cells: int = Field(default=3, ge=2)
    """Fewest cells of each class, trained on by neither model, to judge on."""
    max_calibration_error: float = Field(default=0.05, ge=0, le=1)
    """Refused when the whole interval of the expected calibration error is above it."""
    min_parity: float = Field(default=0.995, ge=0, le=1)
    """Least top-1 agreement of the serving engine with Keras."""
    max_parity_loss: float = Field(default=0.002, ge=0, le=1)
    """Most balanced accuracy that the serving engine may lose against Keras."""
    max_latency_ms: float = Field(default=500.0, gt=0)
    max_size_mb: float = Field(default=250.0, gt=0)
    """Largest served bundle, in 10^6 bytes."""
    draws: int = Field(default=1000, ge=100)


class ReviewConfig(Frozen):
    """How much a model may answer alone; the rule itself is fitted on held-out cells."""

    coverage: float = Field(default=0.82, gt=0, lt=1)
    """Share of held-out evidence that is accepted."""
    distance_quantile: float = Field(default=0.975, gt=0.5, le=1)
    """Share of held-out evidence that is near enough to the training images."""


class EvaluateConfig(Frozen):
    """How a model is scored."""

    prevalence: dict[str, float] = Field(default_factory=dict)
    """Class to its share in a typical sample; without it precision is told at equal shares only."""
    draws: int = Field(default=1000, ge=100)
    """Resamples of cells behind each interval."""
    worst: int = Field(default=12, ge=0, le=60)
    """Mistaken cells that the report shows."""


class CrossvalConfig(Frozen):
    """How a recipe is cross-validated, beside the run's own config."""

    folds: int = Field(default=5, ge=3)
    """One is scored, half of another calibrates, the rest is learned from."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Of each class's cells that are learned from. Figures at several shares are a learning curve:
    whether more cells would help."""
    unknown: str = ""
    """A class of which nothing is learned, to see whether its images go to a person."""


class RunConfig(Frozen):
    """One YAML file of `configs/`."""

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
        """Archives, snapshots, splits and the pointer live under it."""
        return self.contract.name

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> "RunConfig":
        if len(set(self.contract.classes)) != len(self.contract.classes):
            raise ValueError("classes must be distinct")
        return self

    @model_validator(mode="after")
    def _prevalence_fits(self) -> "RunConfig":
        shares = self.evaluate.prevalence
        if shares and (set(shares) != set(self.contract.classes) or min(shares.values()) <= 0):
            raise ValueError("evaluate.prevalence must give every class a share above 0")
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
