"""Interface of an object store: atomic writes, conditional on an ETag if requested."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """Metadata of one object."""

    uri: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """An object store; every method may raise UnreachableError or BucketError."""

    def read(self, uri: str) -> bytes:
        """The object's content; MissingArtifactError when it does not exist."""
        ...

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        """Content and ETag; None when the object does not exist."""
        ...

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write atomically and return the ETag; ConflictError when a condition fails."""
        ...

    def upload(self, path: Path, uri: str) -> None:
        """Copy a local file to an object, replacing it."""
        ...

    def download(self, uri: str, path: Path) -> None:
        """Copy an object to `path`, and make its folders; MissingArtifactError if there is none."""
        ...

    def stat(self, uri: str) -> ObjectInfo | None:
        """Metadata of one object; None when it does not exist."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Metadata of every object whose URI starts with `prefix`, sorted by URI."""
        ...
