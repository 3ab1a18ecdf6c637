"""The default config of a run, and whether its model has archives."""

import logging
from pathlib import Path

import pytest

from pipeline.adapters.storage import LocalStore
from pipeline.entrypoints import config_lookup, dataset


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty local store; MODEL_NAME is demo."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("MODEL_NAME", "demo")
    return tmp_path / "store"


@pytest.mark.usefixtures("root")
def test_the_default_config_is_that_of_model_name() -> None:
    """For a form without a config, and for the weekly run."""
    assert config_lookup.default_config() == "configs/demo.yaml"


def test_a_model_without_archives_is_logged(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another model's archives do not count, nor does a file that is not a zip."""
    caplog.set_level(logging.INFO)
    LocalStore().write(f"{root}/archives/blood_cells/a.zip", b"zip")
    LocalStore().write(f"{root}/archives/demo/readme.txt", b"text")
    assert not dataset.has_archives("configs/demo.yaml")
    assert "archives/demo/ is empty: there is nothing to train on" in caplog.messages


def test_an_archive_under_the_configs_name_counts(root: Path) -> None:
    """And not under another name."""
    LocalStore().write(f"{root}/archives/demo/a.zip", b"zip")
    assert dataset.has_archives("configs/demo.yaml")
    assert not dataset.has_archives("configs/blood_cells.yaml")
