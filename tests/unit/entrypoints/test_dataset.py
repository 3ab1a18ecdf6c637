"""Reports of refused datasets, and of archives that ingest skipped."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


@pytest.fixture
def uploaded(config: str, tmp_path: Path) -> str:
    """The config, with a good and a broken archive in the store."""
    folder = tmp_path / "store/archives/cells"
    folder.mkdir(parents=True)
    (folder / "broken.zip").write_bytes(b"broken")
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "good.zip", "w") as good:
        for label in ("ROUND", "LOBED"):
            for number in range(9):
                out = io.BytesIO()
                pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(out, "PNG")
                good.writestr(f"{label}/{number}.png", out.getvalue())
    return config


@pytest.mark.field("broken_zip")
def test_a_skipped_archive_is_on_the_terminal_and_in_the_json(
    uploaded: str, run_command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """`leukoflow ingest` ends with 0; stdout has the snapshot, stderr the reason."""
    assert run_command("ingest", "--config", uploaded) == 0
    snapshot, errors = capsys.readouterr()
    assert "store/snapshot/cells/" in snapshot
    assert "warning: skipped" in errors
    assert run_command("ingest", "--json", "--config", uploaded) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["snapshot"], report["counts"]["images"]) == (snapshot.strip(), 18)
    (refused,) = report["refused"]
    assert refused["uri"].endswith("archives/cells/broken.zip")
    assert "expected a zip archive" in refused["reason"]


def test_the_published_validation_page_names_a_skipped_archive(
    uploaded: str, tmp_path: Path
) -> None:
    """On the report site; its index says that one was skipped."""
    dataset.validate(uploaded, "one", dataset.ingest(uploaded, "one"))
    reports = tmp_path / "store/reports/cells"
    (page,) = (reports / "validation").rglob("index.html")
    assert "broken.zip cannot be opened" in page.read_text()
    assert "1 skipped, 0 quarantined" in (reports / "index.html").read_text()
