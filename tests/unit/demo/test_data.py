"""The demo's archive reaches the store once, and never starts a run of the watcher's."""

from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.demo.data import prepare_archive, upload
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.watch import new_archives


class Watched(LocalStore):
    """A store at which the watcher looks before and after every write and upload."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.claimed: list[dict[str, str]] = []

    def look(self) -> None:
        """As `blood_cell_ingestion` does each minute."""
        self.claimed += new_archives("demo", store=ArtifactStore(LocalStore(), str(self.root)))

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """As a local store does."""
        self.look()
        etag = super().write(uri, data, if_match=if_match, if_absent=if_absent)
        self.look()
        return etag

    def upload(self, path: Path, uri: str) -> None:
        """As a local store does."""
        self.look()
        super().upload(path, uri)
        self.look()


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    """An empty store."""
    return Watched(tmp_path / "store")


def put(objects: Watched, content: bytes) -> tuple[str, bool]:
    archive = objects.root.parent / "cells.zip"
    archive.write_bytes(content)
    return upload(archive, "demo", ArtifactStore(objects, str(objects.root)))


def test_the_watcher_never_starts_a_run(objects: Watched) -> None:
    """Whenever it looks: as the archive comes, as it is replaced, and as it is put back."""
    for content in (b"one", b"two", b"one"):
        uri, reused = put(objects, content)
        assert not reused
        assert objects.read(uri) == content
    objects.look()
    assert objects.claimed == []


def test_the_same_archive_is_put_once(objects: Watched) -> None:
    """The second demo finds what the first one put there."""
    uri, _ = put(objects, b"one")
    assert put(objects, b"one") == (uri, True)


def test_an_archive_that_somebody_replaced_is_put_again(objects: Watched) -> None:
    """The receipt speaks of the object it was written for, not of any under that name."""
    uri, _ = put(objects, b"one")
    LocalStore().write(uri, b"somebody else's")
    assert put(objects, b"one") == (uri, False)
    assert objects.read(uri) == b"one"


def test_an_archive_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(InvalidInputError, match=r"DATA=file\.zip; received .*nowhere\.zip"):
        prepare_archive(tmp_path / "nowhere.zip", tmp_path)
