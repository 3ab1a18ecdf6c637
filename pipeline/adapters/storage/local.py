"""Objects as files in a local folder, for work without a stack."""

import fcntl
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from pipeline.adapters.storage.protocol import ObjectInfo
from pipeline.errors import ConflictError, MissingArtifactError


class LocalStore:
    """`ObjectStore` in files: atomic writes, and conditional ones under a file lock."""

    def read(self, uri: str) -> bytes:
        """The file's content; MissingArtifactError when it does not exist."""
        path = _path(uri)
        if not path.is_file():
            raise MissingArtifactError("no such file", received=uri)
        return path.read_bytes()

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        path = _path(uri)
        if not path.is_file():
            return None
        data = path.read_bytes()
        return data, _etag(data)

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write atomically and return the ETag; ConflictError when a condition fails."""
        path = _path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            if if_absent and path.exists():
                raise ConflictError(f"{uri} already exists")
            if if_match is not None and (not path.exists() or _etag(path.read_bytes()) != if_match):
                raise ConflictError(f"{uri} was changed by another writer")
            _replace(path, io.BytesIO(data))
        return _etag(data)

    def upload(self, path: Path, uri: str) -> None:
        target = _path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source:
            _replace(target, source)

    def download(self, uri: str, path: Path) -> None:
        """Copy an object to `path`, and make its folders; MissingArtifactError if there is none."""
        if not _path(uri).is_file():
            raise MissingArtifactError("no such file", received=uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_path(uri), path)

    def stat(self, uri: str) -> ObjectInfo | None:
        path = _path(uri)
        if not path.is_file():
            return None
        status = path.stat()
        modified = datetime.fromtimestamp(status.st_mtime, UTC)
        return ObjectInfo(uri, status.st_size, _etag(path.read_bytes()), modified)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Metadata of the files whose path starts with `prefix`, without hidden files."""
        # A Path drops the final slash, which distinguishes `a/` from `a` and `ab`.
        start = str(_path(prefix)) + ("/" if prefix.endswith("/") else "")
        folder = Path(start) if start.endswith("/") else Path(start).parent
        for path in sorted(map(str, folder.rglob("*"))):
            hidden = Path(path).name.startswith(".")
            # In the spelling of `prefix`: `./a` and `file:///a` are one file, and callers compare.
            uri = prefix + path.removeprefix(start)
            info = None if hidden or not path.startswith(start) else self.stat(uri)
            if info is not None:
                yield info


def _path(uri: str) -> Path:
    """The file of a URI, `file://` or a plain path."""
    return Path(uri.removeprefix("file://"))


def _etag(data: bytes) -> str:
    """S3's ETag of these bytes: the quoted MD5."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def _replace(path: Path, source: BinaryIO) -> None:
    """Replace a file atomically; after an error, such as a full disk, no partial file stays."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as part:
            shutil.copyfileobj(source, part)
            part.flush()
            os.fsync(handle)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder during the block; waits for other processes."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
