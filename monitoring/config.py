"""Monitoring configuration (`configs/monitoring.yaml`): windows, drift test, retrain policy."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from pipeline.config.returned_label_limits import GatherConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


class CollectConfig(Frozen):
    """Which log segments are read for a window."""

    late_days: int = Field(default=2, ge=0, le=30)
    """Days after its date on which a late segment is still read."""


class DriftTestConfig(Frozen):
    """Parameters of the drift test: alarm rate, minimum sizes, number of draws, seed."""

    alpha: float = Field(default=0.01, gt=0, le=0.2)
    """Family-wise false alarm rate: share of windows without drift that alarm."""
    draws: int = Field(default=500, ge=100, le=10_000)
    """Windows drawn from the reference to estimate the null distribution."""
    min_sample: int = Field(default=30, ge=10)
    """Minimum number of distinct images in a window."""
    min_groups: int = Field(default=8, ge=4)
    """Minimum number of source cells in the reference."""
    max_images: int = Field(default=1500, ge=100, le=5000)
    """Larger references and windows are subsampled: memory grows with the square."""
    seed: int = 7


class PolicyConfig(Frozen):
    """Conditions under which drift requests a retrain."""

    min_sample: int = Field(default=30, ge=1)
    """Minimum number of distinct images in the window."""
    alarms_in_a_row: int = Field(default=1, ge=1, le=20)
    """Consecutive windows that must alarm; windows too small to test are ignored."""
    cool_down_hours: float = Field(default=24, ge=0)
    """Minimum time between two requests."""
    request_expires_hours: float = Field(default=72, gt=0)
    """An open request older than this no longer blocks a new one."""


class MonitoringConfig(Frozen):
    """Content of `configs/monitoring.yaml`: windows, drift test, retrain policy, labels."""

    collect: CollectConfig = CollectConfig()
    test: DriftTestConfig = DriftTestConfig()
    policy: PolicyConfig = PolicyConfig()
    gather: GatherConfig = GatherConfig()


def load_monitoring_config(path: Path) -> MonitoringConfig:
    """The configuration in a YAML file; every field has a default.

    Raises:
        InvalidInputError: if the file is missing, is no valid YAML, or has an invalid value.
    """
    if not path.is_file():
        raise InvalidInputError(
            "config file not found", expected="configs/monitoring.yaml", received=str(path)
        )
    try:
        return MonitoringConfig.model_validate(yaml.safe_load(path.read_text()) or {})
    except (ValidationError, yaml.YAMLError) as error:
        raise InvalidInputError(f"invalid configuration {path}: {error}") from error
