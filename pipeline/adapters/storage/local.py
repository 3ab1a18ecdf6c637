"""Objects as files in a local folder, for work without a stack."""

import fcntl
import hashlib
import io
import os
import shutil
import stat
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
        with lock_file(path.parent / ".lock"):
            if if_absent and path.exists():
                raise ConflictError(f"{uri} already exists")
            if if_match is not None and (not path.exists() or _etag(path.read_bytes()) != if_match):
                raise ConflictError(f"{uri} was changed by another writer")
            replace_file(path, data)
        return _etag(data)

    def upload(self, path: Path, uri: str) -> None:
        target = _path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source:
            replace_file(target, source)

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


def replace_file(path: Path, source: BinaryIO | bytes, *, keep_mode: bool = False) -> None:
    """Write a file atomically, with mode 600; after an error no partial file stays.

    Args:
        path: the file; its folder exists.
        source: the new content.
        keep_mode: keep mode and owner of an existing file.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as part:
            if keep_mode and path.exists():
                before = path.stat()
                if os.geteuid() == 0:  # root changes a file that another user owns
                    os.fchown(handle, before.st_uid, before.st_gid)
                os.fchmod(handle, stat.S_IMODE(before.st_mode))
            shutil.copyfileobj(io.BytesIO(source) if isinstance(source, bytes) else source, part)
            part.flush()
            os.fsync(handle)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, which is created, during the block; waits for the lock."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
