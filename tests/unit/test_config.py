"""What a run does, read strictly."""

from pathlib import Path

import pytest

from pipeline.config import RunConfig, load_config
from pipeline.errors import InvalidInputError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CONTRACT = "contract: {name: cells, classes: [A, B]}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A config that says no more than it must."""
    (tmp_path / "cells.yaml").write_text(CONTRACT)
    return tmp_path / "cells.yaml"


@pytest.mark.parametrize("name", ["blood_cells", "demo"])
def test_the_shipped_configs_load(name: str) -> None:
    """Each under its own name, so that the demo never dethrones a real model."""
    config = load_config(CONFIGS / f"{name}.yaml")
    assert config.name == name
    assert config.contract.classes == ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")


def test_a_config_need_only_say_what_differs(path: Path) -> None:
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
def test_what_a_config_cannot_say_is_refused(path: Path, text: str) -> None:
    """A misspelt key, a value out of bounds, no YAML at all: bad input that names the file."""
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"cells.yaml"):
        load_config(path)


def test_overrides_reach_any_depth(path: Path) -> None:
    """Dotted keys win over the file and leave their neighbours alone."""
    path.write_text(CONTRACT + "train: {epochs: 3, steps: 2}")
    config = load_config(path, {"train.epochs": 5, "ingest.limit": 10})
    assert (config.train.epochs, config.train.steps, config.ingest.limit) == (5, 2, 10)


@pytest.mark.parametrize("key", ["ingest.limits", "nothing", "contract.name.first", "ingest."])
def test_an_override_of_nothing_is_refused(path: Path, key: str) -> None:
    """A misspelt override must not train with the default instead."""
    with pytest.raises(InvalidInputError, match=r"cells.yaml|leads nowhere"):
        load_config(path, {key: 1})


def test_a_config_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The error says where configs are."""
    with pytest.raises(InvalidInputError, match=r"no such config.*configs/NAME.yaml"):
        load_config(tmp_path / "absent.yaml")


def test_a_config_does_not_change(path: Path) -> None:
    """It is what a run was started with, to its end."""
    with pytest.raises(ValueError, match="frozen"):
        load_config(path).train.epochs = 1  # type: ignore[misc]


def test_a_share_that_is_not_asked_for_is_not_written_down() -> None:
    """Digests and checkpoints of configs without a reserve are those of earlier versions."""
    config = load_config(CONFIGS / "blood_cells.yaml")
    assert "reserve_share" not in config.model_dump_json()
    reserving = load_config(CONFIGS / "demo.yaml")
    assert RunConfig.model_validate_json(reserving.model_dump_json()) == reserving
    assert reserving.split.reserve_share > 0
