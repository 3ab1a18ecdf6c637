"""Configs are read strictly."""

from pathlib import Path

import pytest

from pipeline.config.run_config import RunConfig, load_config
from pipeline.errors import InvalidInputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CONTRACT = "contract: {name: cells, classes: [A, B]}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A minimal config."""
    (tmp_path / "cells.yaml").write_text(CONTRACT)
    return tmp_path / "cells.yaml"


@pytest.mark.parametrize("name", ["blood_cells", "demo"])
def test_the_shipped_configs_load(name: str) -> None:
    """Each has its own name, so that the demo never replaces a real model."""
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.name == name
    assert config.contract.classes == ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")


def test_a_config_needs_only_its_contract(path: Path) -> None:
    """Everything but the contract has a default."""
    assert load_config(path).split.test_share == 0.2


@pytest.mark.parametrize(
    "text",
    [
        CONTRACT + "trian: {epochs: 3}",
        CONTRACT + "train: {epocs: 3}",
        CONTRACT + "train: {epochs: 0}",
        CONTRACT + "split: {test_share: 0.9}",
        CONTRACT + "train: 3",
        "contract: {name: cells, classes: [A]}",
        "contract: {name: cells, classes: [A, A]}",
        "contract: {name: ../cells, classes: [A, B]}",
        "train: {epochs: 3}",
        "- a list",
        "just text",
        "",
        "contract: {name: cells",
    ],
)
def test_an_invalid_config_is_refused(path: Path, text: str) -> None:
    """A misspelt key, a value out of bounds or invalid YAML: the error names the file."""
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"cells.yaml"):
        load_config(path)


def test_overrides_reach_any_depth(path: Path) -> None:
    """Dotted keys override the file and leave other keys unchanged."""
    path.write_text(CONTRACT + "train: {epochs: 3, steps: 2}")
    config = load_config(path, {"train.epochs": 5, "ingest.limit": 10})
    assert (config.train.epochs, config.train.steps, config.ingest.limit) == (5, 2, 10)


@pytest.mark.parametrize("key", ["ingest.limits", "nothing", "contract.name.first", "ingest."])
def test_an_override_of_an_unknown_key_is_refused(path: Path, key: str) -> None:
    """Else a misspelt override would train with the default."""
    with pytest.raises(InvalidInputError, match=r"cells.yaml|names no config key"):
        load_config(path, {key: 1})


def test_a_missing_config_is_refused(tmp_path: Path) -> None:
    """The error names the folder of configs."""
    with pytest.raises(InvalidInputError, match=r"config file not found.*configs/NAME.yaml"):
        load_config(tmp_path / "absent.yaml")


def test_a_config_is_immutable(path: Path) -> None:
    """A run keeps the config it was started with."""
    with pytest.raises(ValueError, match="frozen"):
        load_config(path).train.epochs = 1  # type: ignore[misc]


def test_a_reserve_share_of_zero_is_not_written() -> None:
    """Without a reserve, digests and checkpoints equal those of earlier versions."""
    config = load_config(CONFIGS / "blood_cells.yaml")
    assert "reserve_share" not in config.model_dump_json()
    reserving = load_config(CONFIGS / "demo.yaml")
    assert RunConfig.model_validate_json(reserving.model_dump_json()) == reserving
    assert reserving.split.reserve_share > 0


def test_the_pixel_limit_can_only_be_lowered(tmp_path: Path) -> None:
    """Training decodes no larger image, so a higher limit in a config would have no effect."""
    path = tmp_path / "cells.yaml"
    path.write_text(
        "contract: {name: cells, classes: [A, B]}\nvalidation: {max_pixels: 30000000}\n"
    )
    with pytest.raises(InvalidInputError, match=r"validation\.max_pixels"):
        load_config(path)
