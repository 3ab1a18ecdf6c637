"""What steps need of a store: objects by URI, written whole, with compare-and-set."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """What a listing tells of one object."""

    uri: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """What steps need of a store."""

    def read(self, uri: str) -> bytes:
        """The object's content; ArtifactError when there is none."""
        ...

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        """Content and ETag, or None when there is no such object."""
        ...

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """Write whole or not at all and return the ETag; ConflictError when a condition fails."""
        ...

    def upload(self, path: Path, uri: str) -> None:
        """Copy a local file to an object."""
        ...

    def download(self, uri: str, path: Path) -> None:
        """Copy an object to a local file; ArtifactError when there is none."""
        ...

    def stat(self, uri: str) -> ObjectInfo | None:
        """Size, ETag and time of one object, or None."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose URI starts with `prefix`, in order of URI."""
        ...
