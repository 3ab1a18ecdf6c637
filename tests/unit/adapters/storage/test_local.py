"""A local folder has S3's guarantees."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.adapters.storage import LocalStore
from pipeline.errors import ArtifactError, ConflictError


def test_a_written_object_is_read_with_its_etag(tmp_path: Path) -> None:
    """Write, read, read_tagged and stat agree, and the ETag is the MD5, as in S3."""
    store, uri = LocalStore(), str(tmp_path / "deep/er/object")
    etag = store.write(uri, b"content")
    info = store.stat(uri)
    assert etag == f'"{hashlib.md5(b"content", usedforsecurity=False).hexdigest()}"'
    assert store.read(uri) == b"content"
    assert store.read_tagged(uri) == (b"content", etag)
    assert info is not None
    assert (info.uri, info.size, info.etag) == (uri, 7, etag)


def test_a_missing_object_is_none_or_an_error(tmp_path: Path) -> None:
    """None for metadata and listings, an error for the content."""
    store, uri = LocalStore(), str(tmp_path / "absent")
    assert store.read_tagged(uri) is None
    assert store.stat(uri) is None
    assert list(store.list(f"{uri}/")) == []
    with pytest.raises(ArtifactError, match="absent"):
        store.read(uri)
    with pytest.raises(ArtifactError, match="absent"):
        store.download(uri, tmp_path / "copy")


def test_if_absent_writes_once(tmp_path: Path) -> None:
    """The second writer gets an error, and the first content stays."""
    store, uri = LocalStore(), str(tmp_path / "object")
    store.write(uri, b"first", if_absent=True)
    with pytest.raises(ConflictError):
        store.write(uri, b"second", if_absent=True)
    assert store.read(uri) == b"first"


def test_if_match_writes_only_over_the_read_version(tmp_path: Path) -> None:
    """Neither a changed nor a missing object is overwritten."""
    store, uri = LocalStore(), str(tmp_path / "object")
    with pytest.raises(ConflictError):
        store.write(uri, b"new", if_match='"0"')
    seen = store.write(uri, b"one")
    store.write(uri, b"two", if_match=seen)
    with pytest.raises(ConflictError):
        store.write(uri, b"three", if_match=seen)
    assert store.read(uri) == b"two"


def test_upload_and_download_copy_a_file(tmp_path: Path) -> None:
    """Folders are created as needed."""
    store, source, uri = LocalStore(), tmp_path / "source", str(tmp_path / "store/a/object")
    source.write_bytes(b"content" * 1000)
    store.upload(source, uri)
    store.download(uri, tmp_path / "b/copy")
    assert (tmp_path / "b/copy").read_bytes() == source.read_bytes()


def test_a_listing_has_every_uri_with_the_prefix(tmp_path: Path) -> None:
    """As in S3: a final slash counts, URIs are sorted; lock files are not listed."""
    store = LocalStore()
    for name in ("ab/1", "a/2", "a/1", "a-b/1", "a/deep/3"):
        store.write(str(tmp_path / name), b"")

    def listed(prefix: str) -> list[str]:
        found = store.list(f"{tmp_path}/{prefix}")
        return [info.uri.removeprefix(f"{tmp_path}/") for info in found]

    assert listed("a/") == ["a/1", "a/2", "a/deep/3"]
    assert listed("a") == ["a-b/1", "a/1", "a/2", "a/deep/3", "ab/1"]
    assert listed("a/d") == ["a/deep/3"]
    assert listed("b/") == []
    assert listed("a-/") == []


def test_one_of_eight_concurrent_writers_wins(tmp_path: Path) -> None:
    """Compare-and-set works between threads with their own file descriptors."""
    store, uri = LocalStore(), str(tmp_path / "object")
    start = threading.Barrier(8)

    def attempt(number: int) -> bool:
        start.wait()
        try:
            store.write(uri, b"%d" % number, if_match=seen)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            seen = store.write(uri, b"seen")
            won = list(pool.map(attempt, range(8)))
            assert sum(won) == 1
            assert store.read(uri) == b"%d" % won.index(True)


def test_a_partial_write_is_never_visible(tmp_path: Path) -> None:
    """A concurrent reader sees the old or the new content, complete."""
    store, uri = LocalStore(), str(tmp_path / "object")
    contents = {bytes([n]) * 300_000 for n in range(4)}
    store.write(uri, bytes([0]) * 300_000)
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(store.read(uri))
            assert len(list(store.list(f"{tmp_path}/"))) == 1

    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read)
        for _ in range(25):
            for content in contents:
                store.write(uri, content)
        done.set()
        reader.result()
    assert seen <= contents
