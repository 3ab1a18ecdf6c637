"""Ingest: a snapshot depends on the content of its archives alone."""

import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, SnapshotManifest
from pipeline.config.run_config import RunConfig
from pipeline.errors import ConflictError, InvalidInputError
from pipeline.records import Record, from_csv
from pipeline.run_context import RunContext
from pipeline.steps.dataset.ingest import ingest, union

WriteZip = Callable[..., str]
Draw = Callable[..., bytes]


def _records(store: ArtifactStore, snapshot: Artifact[SnapshotManifest]) -> list[Record]:
    return from_csv(store.read(snapshot, "records.csv").decode(), Record)


def _limited(config: RunConfig, **changes: object) -> RunConfig:
    return config.model_copy(update={"ingest": config.ingest.model_copy(update=changes)})


def test_labels_are_the_nearest_folders(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A label is the name of the parent folder at any depth; the packs return the image bytes."""
    records = _records(store, ingest([small_archive], config, store=store, run=run))
    with zipfile.ZipFile(small_archive) as archive:
        assert {(r.file, r.label) for r in records} == {
            (name, name.split("/")[-2]) for name in archive.namelist()
        }
        for record, data in read_images(store, records):
            assert data == archive.read(record.file)
    assert records == sorted(records, key=lambda record: record.sha256)


def test_same_archive_twice_is_one_snapshot(
    small_archive: str,
    config: RunConfig,
    store: ArtifactStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A second run reuses the archive artefact and publishes the same snapshot."""
    with caplog.at_level(logging.INFO):
        runs = [RunContext.now(name, name) for name in ("first", "second")]
        uris = {ingest([small_archive], config, store=store, run=run).uri for run in runs}
    assert len(uris) == 1
    assert caplog.text.count("reused") == 1


def test_archive_under_a_second_name_counts_once(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A copy of an archive under another name changes neither the images nor the snapshot."""
    copy = Path(small_archive).with_name("zz-copy.zip")
    copy.write_bytes(Path(small_archive).read_bytes())
    alone = ingest([small_archive], config, store=store, run=run)
    both = ingest([str(copy), small_archive], config, store=store, run=run)
    assert alone.uri == both.uri


def test_names_and_order_of_archives_do_not_change_the_snapshot(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The same archives under other names give the same snapshot; other bytes another one."""
    archives = [
        write_zip(f"{name}.zip", {f"ROUND/{name}.png": draw(n), "LOBED/x.png": draw(9)})
        for n, name in enumerate("abc")
    ]
    renamed = [
        str(shutil.copy(path, Path(path).with_name(f"{name}.zip")))
        for path, name in zip(archives, "zyx", strict=True)
    ]
    uris = {ingest(paths, config, store=store, run=run).uri for paths in (archives, renamed)}
    assert len(uris) == 1
    assert ingest(archives[:2], config, store=store, run=run).uri not in uris


def test_union_keeps_an_image_once(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """An image in two archives counts once; under two labels, both rows stay for validation."""
    one = write_zip("one.zip", {"ROUND/a.png": draw(1), "ROUND/b.png": draw(2)})
    two = write_zip("two.zip", {"ROUND/c.png": draw(1), "LOBED/d.png": draw(2)})
    snapshot = ingest([one, two], config, store=store, run=run)
    assert snapshot.manifest.counts == {"images": 3, "duplicates": 1}
    assert sorted(r.label for r in _records(store, snapshot)) == ["LOBED", "ROUND", "ROUND"]


def test_uploaded_archives_are_found(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Without a list, all uploaded zips are ingested; without any, the error names the folder."""
    with pytest.raises(InvalidInputError, match=r"archives/cells/\*\.zip"):
        ingest([], config, store=store, run=run)
    store.objects.upload(Path(small_archive), f"{store.root}/archives/cells/small.zip")
    assert (
        ingest([], config, store=store, run=run).uri
        == ingest([small_archive], config, store=store, run=run).uri
    )


def test_limit_is_repeatable_and_per_class(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A limit selects the same images of each class in each run; a larger limit includes them."""
    taken = [
        {
            record.sha256
            for record in _records(
                store, ingest([small_archive], _limited(config, limit=n), store=store, run=run)
            )
        }
        for n in (3, 5)
    ]
    assert [len(images) for images in taken] == [6, 10]
    assert taken[0] < taken[1]


def test_manifest_overrides_label_and_names_group(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Values of `manifest.csv` take precedence over folder names and the file-name pattern."""
    rows = "\ufefffile,label,group\nROUND/a_p1.png,LOBED,cell 7\nROUND/b_p2.png,,\n"
    members = {"ROUND/a_p1.png": draw(1), "ROUND/b_p2.png": draw(2), "manifest.csv": rows.encode()}
    changed = _limited(config, group_pattern=r"_(p\d)")
    snapshot = ingest([write_zip("m.zip", members)], changed, store=store, run=run)
    assert {(r.file, r.label, r.hint) for r in _records(store, snapshot)} == {
        ("ROUND/a_p1.png", "LOBED", "cell 7"),
        ("ROUND/b_p2.png", "ROUND", "p2"),
    }


def test_invalid_manifest_is_rejected_and_nothing_is_published(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A line break in a label is rejected, since it would break all later tables."""
    rows = b'file,label,group\nROUND/a.png,"LOB\rED",\n'
    members = {"ROUND/a.png": draw(1), "manifest.csv": rows}
    with pytest.raises(InvalidInputError, match=r"manifest.csv line 2 .* column label"):
        ingest([write_zip("m.zip", members)], config, store=store, run=run)
    assert not Path(store.root).exists()


def test_damaged_member_is_rejected_and_nothing_is_published(
    write_zip: WriteZip, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """One member with a wrong checksum rejects the whole archive."""
    path = Path(write_zip("damaged.zip", {"ROUND/a.png": b"0123456789" * 9}))
    data = bytearray(path.read_bytes())
    data[50] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"damaged at 'ROUND/a.png'"):
        ingest([str(path)], config, store=store, run=run)
    assert not Path(store.root).exists()


class _Restless(LocalStore):
    """A store that replaces the archive after each download, while it has contents left."""

    def __init__(self, contents: Iterator[bytes]) -> None:
        self._contents = contents

    def download(self, uri: str, path: Path) -> None:
        super().download(uri, path)
        later = next(self._contents, None)
        if later is not None:
            Path(uri).write_bytes(later)


def test_a_damaged_pack_is_rebuilt_from_the_archive(
    small_archive: str, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """An archive artefact with a damaged pack is built again from the archive."""
    before = ingest([small_archive], config, store=store, run=run)
    pack = next(Path(store.root).rglob("images-*.zip"))
    pack.write_bytes(pack.read_bytes()[:-9])
    assert ingest([small_archive], config, store=store, run=run).uri == before.uri
    assert all(data for _, data in read_images(store, _records(store, before)))


def test_archive_replaced_during_download_is_read_again(
    small_archive: str,
    write_zip: WriteZip,
    draw: Draw,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> None:
    """The final content is ingested; after three replacements a ConflictError is raised."""
    last = Path(write_zip("last.zip", {"ROUND/x.png": draw(5), "LOBED/y.png": draw(6)}))
    restless = ArtifactStore(_Restless(iter([last.read_bytes()])), store.root)
    snapshot = ingest([small_archive], config, store=restless, run=run)
    assert {r.file for r in _records(store, snapshot)} == {"ROUND/x.png", "LOBED/y.png"}
    endless = ArtifactStore(_Restless(bytes(n) for n in range(9)), store.root)
    Path(small_archive).write_bytes(b"other")
    with pytest.raises(ConflictError, match="was replaced"):
        ingest([small_archive], config, store=endless, run=run)


def test_missing_archive_is_an_input_error(
    config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The error repeats the URI."""
    with pytest.raises(InvalidInputError, match=r"nowhere.zip"):
        ingest(["/nowhere.zip"], config, store=store, run=run)


def test_manifest_names_cells(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A record has the cell of `manifest.csv` and the group of the file-name pattern."""
    rows = b"file,label,cell\nROUND/p1_a.png,,7\n"
    members = {"ROUND/p1_a.png": draw(1), "ROUND/p2_b.png": draw(2), "manifest.csv": rows}
    ingestion = config.ingest.model_copy(update={"group_pattern": r"^(p\d)"})
    hinting = config.model_copy(update={"ingest": ingestion})
    records = store.records(ingest([write_zip("c.zip", members)], hinting, store=store, run=run))
    assert {r.file: (r.hint, r.cell_hint) for r in records} == {
        "ROUND/p1_a.png": ("p1", "7"),
        "ROUND/p2_b.png": ("p2", ""),
    }


def test_union_prefers_an_archives_row_to_a_returned_one() -> None:
    """Of equal image and label, the row of an archive is kept."""
    row = Record(sha256="1", label="ROUND", file="returned/1.png", archive="a")
    made = row.model_copy(update={"file": "z/1.png", "archive": "z"})
    named = made.model_copy(update={"hint": "p1", "archive": "y"})
    assert union([row, made]) == [made]
    assert union([row, made, named]) == [named]


@pytest.mark.field("patient_folders")
def test_folders_below_a_class_are_groups_if_the_config_says_so(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The label is the class above them; a group in `manifest.csv` takes precedence."""
    rows = b"file,label,group\nROUND/patient_1/b.png,,P9\n"
    members = {f"ROUND/patient_1/{name}.png": draw(n) for n, name in enumerate("ab")}
    members |= {"set/lobed/patient_2/c.png": draw(3), "manifest.csv": rows}
    archive = write_zip("p.zip", members)
    hints = []
    for group_from in ("folder", "pattern"):
        changed = _limited(config, group_from=group_from)
        records = _records(store, ingest([archive], changed, store=store, run=run))
        assert {r.label for r in records} == {"ROUND", "lobed"}
        hints.append({r.file.split("/")[-1]: r.hint for r in records})
    assert hints == [
        {"a.png": "patient_1", "b.png": "P9", "c.png": "patient_2"},
        {"a.png": "", "b.png": "P9", "c.png": ""},
    ]


def test_other_classes_give_an_archive_other_labels(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """An archive that was ingested with other classes is read again."""
    archive = write_zip("p.zip", {"ROUND/day 1/a.png": draw(1)})
    contract = config.contract.model_copy(update={"classes": ("day 1", "day 2")})
    for changed, label in (
        (config, "ROUND"),
        (config.model_copy(update={"contract": contract}), "day 1"),
    ):
        (record,) = _records(store, ingest([archive], changed, store=store, run=run))
        assert record.label == label


@pytest.mark.field("whole_download")
def test_files_that_the_patterns_leave_out_are_counted(
    write_zip: WriteZip,
    draw: Draw,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With their reason; the manifest is read, and a row of a file that is left out is no error."""
    rows = b"file,label\nset/ROUND/a.png,LOBED\nROUND/x.png,ROUND\n"
    members = {"set/ROUND/a.png": draw(1), "set/masks/a.png": draw(2), "ROUND/x.png": draw(3)}
    archive = write_zip("p.zip", members | {"manifest.csv": rows})
    changed = _limited(config, include=("set/**",), exclude=("masks",))
    with caplog.at_level(logging.INFO):
        (record,) = _records(store, ingest([archive], changed, store=store, run=run))
    assert (record.file, record.label) == ("set/ROUND/a.png", "LOBED")
    assert (
        "2 files are skipped: matched by ingest.exclude 1, not matched by ingest.include 1"
        in caplog.text
    )
    nothing = r"no images; 3 files are skipped: not matched by ingest.include 3"
    with pytest.raises(InvalidInputError, match=nothing):
        ingest([archive], _limited(config, include=("nowhere",)), store=store, run=run)


def test_returned_labels_are_read_whatever_the_patterns(
    write_zip: WriteZip, draw: Draw, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The patterns describe uploaded archives."""
    rows = b"file,label,group\nreturned/1.png,ROUND,\n"
    archive = write_zip("r.zip", {"returned/1.png": draw(1), "manifest.csv": rows})
    changed = _limited(config, include=("set/**",), exclude=("*.png",))
    assert len(_records(store, ingest([archive], changed, store=store, run=run))) == 1
