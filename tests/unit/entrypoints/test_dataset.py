"""The report of a refused dataset is published, and the error has its address."""

import zipfile
from pathlib import Path

import pytest

from pipeline.entrypoints import cells, dataset
from pipeline.errors import InvalidInputError

CONFIG = "{contract: {name: cells, classes: [ROUND, LOBED]}}"


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """An archive with one file, which is not an image."""
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as bad:
        bad.writestr("ROUND/1.png", b"not an image")
    return str(path)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A config, with an empty local store."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    path = tmp_path / "cells.yaml"
    path.write_text(CONFIG)
    return str(path)


def _page(refused: pytest.ExceptionInfo[InvalidInputError]) -> Path:
    return Path(refused.value.received.rpartition(" ")[2])


def test_a_refused_run_publishes_its_report(config: str, archive: str, tmp_path: Path) -> None:
    """Among the pages of accepted runs, listed as refused."""
    snapshot = dataset.ingest(config, "one", [archive])
    with pytest.raises(InvalidInputError, match=r"the image cannot be read \(1\)") as refused:
        dataset.validate(config, "one", snapshot)
    page = _page(refused)
    assert page.is_relative_to(tmp_path / "store/reports/cells/validation")
    assert "This dataset was refused" in page.read_text()
    assert "refused" in (tmp_path / "store/reports/cells/index.html").read_text()


def test_grouping_an_archive_keeps_the_report_of_a_refusal(
    config: str, archive: str, tmp_path: Path
) -> None:
    """In the local store, not in the temporary folder of the archive."""
    with pytest.raises(InvalidInputError, match="too many images are quarantined") as refused:
        cells.group_archive(archive, config)
    assert _page(refused).is_relative_to(tmp_path / "home/artifacts/reports/cells")
    assert "This dataset was refused" in _page(refused).read_text()
