"""The dry run of archives says what the steps do, and changes nothing."""

import zipfile
from pathlib import Path

import pytest
import yaml

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import DatasetManifest, GroupingManifest, SplitManifest
from pipeline.entrypoints import cells, dataset
from pipeline.sample.archive import write_archive
from pipeline.sample.cells import CLASSES
from pipeline.steps.inspection.inspect import summary


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A config of the drawn cells, without any store."""
    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STORE_URI", raising=False)
    path = tmp_path / "cells.yaml"
    contract = {"name": "cells", "classes": list(CLASSES)}
    body = {"contract": contract, "validation": {"min_images_per_class": 8}}
    path.write_text(yaml.safe_dump(body))
    return str(path)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four cells of each class, each photographed twice."""
    write_archive(tmp_path / "drawn.zip", seed=3, cells_per_class=4, copies=2)
    return tmp_path / "drawn.zip"


def _images(archive: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as opened:
        return [(name, opened.read(name)) for name in opened.namelist() if name.endswith("g")]


def _write(path: Path, files: list[tuple[str, bytes]]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return str(path)


def test_an_archive_that_would_train(config: str, archive: Path, tmp_path: Path) -> None:
    """Images, cells and groups; nothing is written below the home."""
    result, page = dataset.inspect(config, [str(archive)])
    assert result.would_train
    assert result.why == ()
    assert result.classes == dict.fromkeys(CLASSES, 8)
    assert result.cells == 16
    assert page.startswith("<!doctype html>")
    assert not (tmp_path / "home").exists()


def test_the_numbers_are_those_of_the_steps(
    config: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real ingest, validation, grouping and split of the archive count the same."""
    files = [*_images(archive), ("notes.txt", b"notes"), (f"{CLASSES[0]}/broken.png", b"?")]
    path = _write(tmp_path / "mixed.zip", files)
    result, _ = dataset.inspect(config, [path])
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    store = ArtifactStore(LocalStore(), str(tmp_path / "store"))
    snapshot = dataset.ingest(config, "run", [path])
    validated = store.open(dataset.validate(config, "run", snapshot), DatasetManifest)
    grouping = store.open(cells.group(config, "run", validated.uri), GroupingManifest)
    split = store.open(cells.split(config, "run", grouping.uri), SplitManifest)
    counts = split.manifest.counts
    assert result.would_train
    assert sum(result.quarantined.values()) == validated.manifest.counts["quarantined"] == 1
    assert sum(result.classes.values()) == validated.manifest.counts["images"]
    assert result.cells == sum(counts.get(f"{part}_cells", 0) for part in ("train", "val", "test"))
    assert result.skipped == dataset.snapshot_manifest(snapshot).left_out.skipped == {"text": 1}


def test_every_reason_is_reported(config: str, archive: Path, tmp_path: Path) -> None:
    """Misspelt folder, too few images and too few cells in one result, with a proposal."""
    last = CLASSES[-1]
    files = [(name.replace(last, f"{last.title()}s"), data) for name, data in _images(archive)]
    result, _ = dataset.inspect(config, [_write(tmp_path / "misspelt.zip", files)])
    assert not result.would_train
    reasons = "\n".join(result.why)
    assert "too many images are quarantined" in reasons
    assert "classes have too few images" in reasons
    assert f"class {last} has no cell" in reasons
    assert any(f"did you mean {last}?" in proposal for proposal in result.proposals)
    assert result.classes[last] == 0
    assert summary(result).startswith("only checked: these archives would not train: too many")


def test_a_rare_class_is_reported_before_features_are_computed(
    config: str, archive: Path, tmp_path: Path
) -> None:
    """A class whose images are all of one patient is refused by the split."""
    files = _images(archive)
    lines = ["file,label,group"]
    for index, (name, _) in enumerate(files):
        label = name.split("/")[-2]
        lines.append(f"{name},{label},{'one' if label == CLASSES[0] else index % 6}")
    files.append(("manifest.csv", "\n".join(lines).encode()))
    result, _ = dataset.inspect(config, [_write(tmp_path / "rare.zip", files)])
    assert result.groups == 7
    assert [CLASSES[0] in reason for reason in result.why] == [True]


def test_an_archive_that_cannot_be_read(config: str, tmp_path: Path) -> None:
    """The reason of ingest, and no numbers."""
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04")
    result, page = dataset.inspect(config, [str(tmp_path / "broken.zip")])
    assert not result.would_train
    assert result.why[0].startswith("broken.zip")
    assert (result.cells, sum(result.classes.values()), page) == (0, 0, "")


def test_a_broken_upload_is_skipped(
    config: str, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of archives that nobody named, the others train; the result names the broken one."""
    uploads = tmp_path / "store/archives/cells"
    uploads.mkdir(parents=True)
    monkeypatch.setenv("STORE_URI", str(tmp_path / "store"))
    (uploads / "broken.zip").write_bytes(b"PK")
    assert not dataset.inspect(config)[0].would_train
    archive.rename(uploads / "cells.zip")
    result, _ = dataset.inspect(config)
    assert result.would_train
    assert [f"{uploads}/broken.zip would be skipped" in reason for reason in result.why] == [True]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["archives"]


def test_no_usable_image(config: str, tmp_path: Path) -> None:
    """Without usable images there is nothing to group."""
    result, _ = dataset.inspect(
        config, [_write(tmp_path / "a.zip", [(f"{CLASSES[0]}/1.png", b"?")])]
    )
    assert not result.would_train
    assert (result.cells, result.groups) == (0, 0)


def test_cells_need_not_be_searched(config: str, archive: Path) -> None:
    """Without the search there are no numbers of cells, and no verdict on the split."""
    result, _ = dataset.inspect(config, [str(archive)], cells=False)
    assert result.would_train
    assert result.cells is None
    assert result.groups is None
