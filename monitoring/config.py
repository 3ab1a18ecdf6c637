"""How windows are tested and when drift asks for a retrain: one YAML file of `configs/`."""

from pathlib import Path

import yaml
from pydantic import Field, ValidationError

from pipeline.config import GatherConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


class CollectConfig(Frozen):
    """Which log segments a window reads."""

    late_days: int = Field(default=2, ge=0, le=30)
    """How long after its day a segment may still arrive and be read."""


class DriftTestConfig(Frozen):
    """The calibrated test of a window against the reference."""

    alpha: float = Field(default=0.01, gt=0, le=0.2)
    """Share of windows without drift that may alarm, over all columns together."""
    draws: int = Field(default=500, ge=100, le=10_000)
    """Windows drawn from the reference itself to learn what chance alone does."""
    min_sample: int = Field(default=30, ge=10)
    """Fewest distinct images that are tested."""
    min_groups: int = Field(default=8, ge=4)
    """Fewest source cells that a reference needs."""
    max_images: int = Field(default=1500, ge=100, le=5000)
    """Larger references and windows are thinned: memory grows with the square."""
    seed: int = 7


class PolicyConfig(Frozen):
    """When drift becomes a request to retrain."""

    min_sample: int = Field(default=30, ge=1)
    alarms_in_a_row: int = Field(default=1, ge=1, le=20)
    """Windows that must alarm one after another; those too small to test are passed over."""
    cool_down_hours: float = Field(default=24, ge=0)
    """Rest between one request and the next."""
    request_expires_hours: float = Field(default=72, gt=0)
    """An open request older than this counts as lost."""


class MonitoringConfig(Frozen):
    """`configs/monitoring.yaml`."""

    collect: CollectConfig = CollectConfig()
    test: DriftTestConfig = DriftTestConfig()
    policy: PolicyConfig = PolicyConfig()
    gather: GatherConfig = GatherConfig()


def load_monitoring_config(path: Path) -> MonitoringConfig:
    """Read the YAML file.

    Raises:
        InvalidInputError: when the file is absent or says something a config cannot.
    """
    if not path.is_file():
        raise InvalidInputError(
            "no such config", expected="configs/monitoring.yaml", received=str(path)
        )
    try:
        return MonitoringConfig.model_validate(yaml.safe_load(path.read_text()) or {})
    except (ValidationError, yaml.YAMLError) as error:
        raise InvalidInputError(f"{path}: {error}") from error
