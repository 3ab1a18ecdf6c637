"""The same images and labels give an archive of the same bytes."""

import hashlib
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.adapters.storage import LocalStore
from pipeline.config.archive_limits import IngestConfig
from pipeline.steps.dataset.archives.archive_check import check_members
from pipeline.steps.dataset.archives.archive_file import open_archive
from pipeline.steps.labels.returned_archive import write_archive


@pytest.fixture
def labels(tmp_path: Path, draw: Callable[..., bytes]) -> dict[str, str]:
    """Three kept images by path, with labels."""
    kept = {}
    for number in range(3):
        image = draw(number)
        path = f"2026-11-2{number}/{hashlib.sha256(image).hexdigest()}.png"
        LocalStore().write(f"{tmp_path}/kept/{path}", image)
        kept[path] = "ROUND"
    return kept


def test_the_same_labels_give_the_same_bytes(
    tmp_path: Path, labels: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes depend neither on the clock nor on the order of the labels."""
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    assert write_archive(first, f"{tmp_path}/kept", labels, LocalStore()) == labels
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    reordered = dict(reversed(labels.items()))
    write_archive(second, f"{tmp_path}/kept", reordered, LocalStore())
    assert first.read_bytes() == second.read_bytes()


def test_the_archive_passes_the_checks_of_ingest(tmp_path: Path, labels: dict[str, str]) -> None:
    """Its manifest has one row per image, without a group."""
    path = tmp_path / "returned.zip"
    write_archive(path, f"{tmp_path}/kept", labels, LocalStore())
    with open_archive(path, IngestConfig()) as archive:
        names = [member.name for member in check_members(archive, IngestConfig())]
    assert len(names) == 4
    with zipfile.ZipFile(path) as archive:
        header, *rows = archive.read("manifest.csv").decode().splitlines()
    assert header == "file,label,group"
    files = {row.split(",")[0] for row in rows}
    assert files == set(names) - {"manifest.csv"}
    assert all(file.startswith("returned/") for file in files)
    assert {row.partition(",")[2] for row in rows} == {"ROUND,"}
