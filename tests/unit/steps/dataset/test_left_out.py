"""Files of an archive that are no images: not read, counted by reason and listed by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import SnapshotManifest
from pipeline.config.archive_limits import EXCLUDED, NOT_INCLUDED
from pipeline.config.run_config import RunConfig
from pipeline.contract.files.file_rules import RULES
from pipeline.errors import InvalidInputError
from pipeline.records import FileCounts, Skipped
from pipeline.run_context import RunContext
from pipeline.steps.dataset import proposals
from pipeline.steps.dataset.ingest import ingest, skipped_files
from pipeline.steps.dataset.validate import DatasetRefusedError, validate

WriteZip = Callable[..., str]
Draw = Callable[..., bytes]
APPLE_DOUBLE = b"\x00\x05\x16\x07" + bytes(60)


@pytest.fixture
def cells(draw: Draw) -> dict[str, bytes]:
    """Two cells of each class."""
    return {
        f"{label}/{n}.png": draw(n + 9 * k)
        for k, label in enumerate(("ROUND", "LOBED"))
        for n in (1, 2)
    }


@pytest.mark.field("appledouble")
def test_metadata_of_a_mac_is_ignored_and_counted(
    cells: dict[str, bytes],
    write_zip: WriteZip,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """By name, by folder and by first bytes; every file is listed in `skipped.csv`."""
    metadata = {f"{name[:6]}._{name[6:]}": APPLE_DOUBLE for name in cells}
    others = {"__MACOSX/ROUND/._1.png": b"", "ROUND/1_.png": APPLE_DOUBLE, "ROUND/.DS_Store": b"x"}
    path = write_zip("mac.zip", cells | metadata | others)
    snapshot = ingest([path], config, store=store, run=run)
    assert {record.file for record in store.records(snapshot)} == set(cells)
    assert snapshot.manifest.left_out == FileCounts(ignored={"macOS metadata": 7})
    listed = skipped_files(snapshot, store)
    assert {one.file for one in listed} == {*metadata, *others}
    assert {one.kind for one in listed} == {"ignored"}


@pytest.mark.field("stray_files")
def test_text_tables_and_annotations_are_skipped_and_counted(
    cells: dict[str, bytes],
    write_zip: WriteZip,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """Each with its reason; unreadable images are read, so that validation quarantines them."""
    others = {
        "README.txt": b"notes\n",
        "labels.csv": b"a,b\n1,2\n",
        "Annotations/1.xml": b"<a/>",
        "ROUND/notes": b"two of them are unclear",
        "ROUND/header.bin": b"\x00\x01",
        "ROUND/masks/1.png": b"",
    }
    path = write_zip("stray.zip", cells | others | {"ROUND/broken.png": b"x"})
    snapshot = ingest([path], config, store=store, run=run)
    assert {record.file for record in store.records(snapshot)} == {*cells, "ROUND/broken.png"}
    assert skipped_files(snapshot, store) == [
        Skipped(file=file, reason=reason)
        for file, reason in [
            ("Annotations/1.xml", "annotation or settings"),
            ("README.txt", "text"),
            ("ROUND/header.bin", "unknown file type"),
            ("ROUND/masks/1.png", "mask"),
            ("ROUND/notes", "text"),
            ("labels.csv", "table"),
        ]
    ]
    assert snapshot.manifest.left_out.lines() == [
        "6 files are skipped: "
        "text 2, annotation or settings 1, mask 1, table 1, unknown file type 1"
    ]


def test_a_row_of_the_manifest_makes_a_mask_an_image(
    cells: dict[str, bytes],
    draw: Draw,
    write_zip: WriteZip,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """It names the file and its label; metadata and text with a row stay unread."""
    rows = b"file,label\nmasks/1.png,ROUND\nREADME.txt,ROUND\nROUND/._1.png,ROUND\n"
    others = {
        "masks/1.png": draw(40),
        "README.txt": b"notes",
        "ROUND/._1.png": APPLE_DOUBLE,
        "manifest.csv": rows,
    }
    snapshot = ingest([write_zip("m.zip", cells | others)], config, store=store, run=run)
    assert {record.file for record in store.records(snapshot)} == {*cells, "masks/1.png"}
    assert snapshot.manifest.left_out == FileCounts(
        ignored={"macOS metadata": 1}, skipped={"text": 1}
    )


def test_the_validation_page_counts_the_files_that_are_not_read(
    cells: dict[str, bytes],
    write_zip: WriteZip,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """By reason, the most frequent first; for the first three with what would help."""
    others = {
        **{f"masks/{n}.png": b"" for n in range(4)},
        **{f"a{n}.dat": b"\x00" for n in range(3)},
        "a.csv": b"x",
        "b.csv": b"y",
        "c.npy": b"z",
        "ROUND/._1.png": APPLE_DOUBLE,
    }
    snapshot = ingest([write_zip("m.zip", cells | others)], config, store=store, run=run)
    stored = store.open(snapshot.uri, SnapshotManifest)
    page = store.read(validate(stored, config, store=store, run=run), "report.html").decode()
    section = page.partition("<h2>Files that are not read</h2>")[2].partition("<h2>")[0]
    reasons = ("mask", "unknown file type", "table")
    order = [section.index(f"<td>{reason}</td>") for reason in reasons]
    assert order == sorted(order)
    assert '<td>macOS metadata</td><td class="num">1</td>' in section
    assert "Table: if a table has the labels, name it manifest.csv" in section
    assert "save each as JPEG" not in section
    strict = config.model_copy(
        update={"validation": config.validation.model_copy(update={"min_images_per_class": 3})}
    )
    with pytest.raises(DatasetRefusedError, match="if these are images, save them as JPEG or PNG"):
        validate(snapshot, strict, store=store, run=run)


def test_every_remedy_is_for_a_reason_that_exists() -> None:
    """Of the policy, or of the patterns."""
    known = {rule.reason for rule in RULES if rule.kind == "skipped"}
    assert known | {EXCLUDED, NOT_INCLUDED} >= set(proposals._REMEDIES)


def test_a_table_that_is_too_large_for_its_files_is_refused(
    cells: dict[str, bytes],
    write_zip: WriteZip,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """Before it is read into memory."""
    table = b"file,label\n" + b"\n" * 1_004_000
    path = write_zip("m.zip", cells | {"manifest.csv": table})
    with pytest.raises(
        InvalidInputError, match=r"manifest.csv is too large for a table of 4 files"
    ):
        ingest([path], config, store=store, run=run)


def test_an_archive_without_images_says_what_it_contains(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The error counts the files by reason."""
    path = write_zip("none.zip", {"README.md": b"a", "data.h5": b"b", "ROUND/.DS_Store": b"c"})
    with pytest.raises(InvalidInputError) as refused:
        ingest([path], config, store=store, run=run)
    assert refused.value.message == (
        "none.zip contains no images; 1 file is ignored: macOS metadata 1; "
        "2 files are skipped: array or model 1, text 1"
    )


def test_an_archive_without_other_files_has_the_manifest_of_before(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Neither `skipped.csv` nor counts, so that its address does not change."""
    snapshot = ingest([small_archive], config, store=store, run=run)
    (manifest,) = Path(store.root).glob("archive/cells/*/manifest.json")
    assert not {"left_out"} & json.loads(manifest.read_text()).keys()
    assert "skipped.csv" not in json.loads(manifest.read_text())["files"]
    assert "left_out" not in snapshot.manifest.model_dump(mode="json")
