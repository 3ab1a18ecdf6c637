"""The config that a run uses, and whether its model has archives."""

import logging
from pathlib import Path

import pytest

from pipeline.adapters.storage import LocalStore
from pipeline.entrypoints import configs, dataset


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local store that the settings name, in an installation that serves the demo."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("MODEL_NAME", "demo")
    return tmp_path / "store"


@pytest.mark.usefixtures("root")
def test_a_run_follows_the_model_that_is_served() -> None:
    """Where the form's config is empty, and each week."""
    assert configs.own_config() == "configs/demo.yaml"


def test_no_archives_are_said_to_be_none(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another model's archives do not count, and neither does a file that is no zip."""
    caplog.set_level(logging.INFO)
    LocalStore().write(f"{root}/archives/blood_cells/a.zip", b"zip")
    LocalStore().write(f"{root}/archives/demo/readme.txt", b"text")
    assert not dataset.has_archives("configs/demo.yaml")
    assert "archives/demo/ is empty: there is nothing to train on" in caplog.messages


def test_an_archive_is_something_to_train_on(root: Path) -> None:
    """Under the config's name."""
    LocalStore().write(f"{root}/archives/demo/a.zip", b"zip")
    assert dataset.has_archives("configs/demo.yaml")
    assert not dataset.has_archives("configs/blood_cells.yaml")
