"""Upload of the demo's archive, while the watcher looks for new archives."""

from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.demo.archive_upload import prepare_archive, upload
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.watch import claim_archives


class Watched(LocalStore):
    """Local store that runs the watcher before and after every write and upload."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.claimed: list[dict[str, str]] = []

    def watch(self) -> None:
        """Run the watcher, as `blood_cell_ingestion` does each minute."""
        self.claimed += claim_archives("demo", store=ArtifactStore(LocalStore(), str(self.root)))

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write, with the watcher before and after."""
        self.watch()
        etag = super().write(uri, data, if_match=if_match, if_absent=if_absent)
        self.watch()
        return etag

    def upload(self, path: Path, uri: str) -> None:
        """Upload, with the watcher before and after."""
        self.watch()
        super().upload(path, uri)
        self.watch()


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    """An empty store."""
    return Watched(tmp_path / "store")


def put(objects: Watched, content: bytes) -> tuple[str, bool]:
    archive = objects.root.parent / "cells.zip"
    archive.write_bytes(content)
    return upload(archive, "demo", ArtifactStore(objects, str(objects.root)))


def test_the_watcher_never_starts_a_run(objects: Watched) -> None:
    """Not for a new archive, a replaced one, or one that is restored."""
    for content in (b"one", b"two", b"one"):
        uri, reused = put(objects, content)
        assert not reused
        assert objects.read(uri) == content
    objects.watch()
    assert objects.claimed == []


def test_the_same_archive_is_uploaded_once(objects: Watched) -> None:
    """The second demo reuses the upload of the first one."""
    uri, _ = put(objects, b"one")
    assert put(objects, b"one") == (uri, True)


def test_a_replaced_archive_is_uploaded_again(objects: Watched) -> None:
    """The receipt is valid for one ETag, not for any object of that name."""
    uri, _ = put(objects, b"one")
    LocalStore().write(uri, b"another archive")
    assert put(objects, b"one") == (uri, False)
    assert objects.read(uri) == b"one"


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    """The error has the expected option and the received path."""
    with pytest.raises(InvalidInputError, match=r"DATA=file\.zip; received .*nowhere\.zip"):
        prepare_archive(tmp_path / "nowhere.zip", tmp_path)
