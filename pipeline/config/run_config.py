"""The config of a run: one YAML file of `configs/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError, model_validator

from pipeline.config.archive_limits import IngestConfig
from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.hyperparameters import FeaturesConfig, TrainConfig
from pipeline.config.matching_limits import GroupConfig
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.config.review_targets import ReviewConfig
from pipeline.config.split_shares import SplitConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.contract.class_names import require_distinct
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


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
        require_distinct(self.contract.classes)
        return self

    @model_validator(mode="after")
    def _require_full_prevalence(self) -> "RunConfig":
        shares = self.evaluate.prevalence
        if shares and (set(shares) != set(self.contract.classes) or min(shares.values()) <= 0):
            raise ValueError(
                "evaluate.prevalence must have a share above 0 for every class, spelt as in "
                f"contract.classes ({', '.join(self.contract.classes)}); received "
                f"{', '.join(shares)}"
            )
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
