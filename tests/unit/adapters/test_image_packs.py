"""Images in packs are verified, and packs are deterministic."""

import hashlib
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import PARTITIONS, pack_name, partition, read_images, write_packs
from pipeline.artifacts import ArchiveManifest
from pipeline.errors import ArtifactError
from pipeline.records import Record
from pipeline.run_context import RunContext

IMAGES = {hashlib.sha256(data).hexdigest(): data for data in (b"%d" % n for n in range(40))}


@pytest.fixture
def records(store: ArtifactStore, run: RunContext, tmp_path: Path) -> list[Record]:
    """Forty images in a published archive artefact."""
    folder = tmp_path / "packs"
    folder.mkdir()
    write_packs(folder, IMAGES, IMAGES.__getitem__)
    manifest = ArchiveManifest(name="cells", **run.model_dump(), sha256="0", bytes=0)
    uri = store.publish(folder, manifest).uri
    return [Record(sha256=sha, label="ROUND", file=sha, archive=uri) for sha in IMAGES]


def test_images_are_read_with_their_records(store: ArtifactStore, records: list[Record]) -> None:
    """Each record with its own bytes, in order of hash."""
    found = list(read_images(store, reversed(records)))
    assert [record.sha256 for record, _ in found] == sorted(IMAGES)
    assert all(IMAGES[record.sha256] == data for record, data in found)


def test_missing_image_is_an_error(store: ArtifactStore, records: list[Record]) -> None:
    """A record without an image in the pack is not skipped."""
    stray = records[0].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(ArtifactError, match="has no image"):
        list(read_images(store, [stray]))


def test_changed_pack_is_an_error(store: ArtifactStore, records: list[Record]) -> None:
    """A pack with changed bytes is refused."""
    pack = Path(records[0].archive) / pack_name(partition(records[0].sha256))
    pack.write_bytes(pack.read_bytes() + b"!")
    with pytest.raises(ArtifactError, match="does not match its manifest"):
        list(read_images(store, records))


def test_packs_are_repeatable(tmp_path: Path) -> None:
    """The same images in another order give the same sixteen files."""
    for name, hashes in (("one", list(IMAGES)), ("other", list(reversed(IMAGES)))):
        (tmp_path / name).mkdir()
        write_packs(tmp_path / name, hashes, IMAGES.__getitem__)
    for number in range(PARTITIONS):
        one, other = (tmp_path / name / pack_name(number) for name in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()
