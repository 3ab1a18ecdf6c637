"""Object store that takes S3 or local files, by the URI's scheme."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.adapters.storage.local import LocalStore
from pipeline.adapters.storage.protocol import ObjectInfo, ObjectStore
from pipeline.adapters.storage.s3 import S3Store
from pipeline.settings import Settings


class UriStore:
    """`ObjectStore` that passes `s3://` URIs to S3 and others to local files."""

    def __init__(self, settings: Settings, *, fail_fast: bool = False) -> None:
        """Open no connection; arguments as for `S3Store`."""
        self._s3, self._local = S3Store(settings, fail_fast=fail_fast), LocalStore()

    def _of(self, uri: str) -> ObjectStore:
        """The store of a URI, by the URI's scheme."""
        return self._s3 if uri.startswith("s3://") else self._local

    def read(self, uri: str) -> bytes:
        return self._of(uri).read(uri)

    def read_tagged(self, uri: str) -> tuple[bytes, str] | None:
        return self._of(uri).read_tagged(uri)

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        return self._of(uri).write(uri, data, if_match=if_match, if_absent=if_absent)

    def upload(self, path: Path, uri: str) -> None:
        self._of(uri).upload(path, uri)

    def download(self, uri: str, path: Path) -> None:
        self._of(uri).download(uri, path)

    def stat(self, uri: str) -> ObjectInfo | None:
        return self._of(uri).stat(uri)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._of(prefix).list(prefix)
