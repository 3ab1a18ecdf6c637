"""What the DAG calls, with a store of local files."""

from pathlib import Path

import pytest

from monitoring import entrypoints
from pipeline.adapters.storage import LocalStore
from pipeline.steps.gather import Returned


def test_gather_returns_where_the_counts_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the report site, also when nothing was returned."""
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    uri = entrypoints.gather("configs/monitoring.yaml", "test", "cells")
    assert uri == f"{tmp_path}/store/reports/cells/returned.json"
    assert Returned.model_validate_json(LocalStore().read(uri)).labels == 0
