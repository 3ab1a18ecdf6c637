"""Open a zip without reading more of it than its limits allow."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.archive_limits import IngestConfig
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.other_formats import check_not_split, not_a_zip

_DIRECTORY_BYTES_PER_MEMBER = 512
"""Limit per entry of the central directory: 46 bytes, the name and extra fields."""


@contextmanager
def open_archive(path: Path, config: IngestConfig) -> Iterator[zipfile.ZipFile]:
    """Open a zip; InvalidInputError if it is none, or exceeds a limit on size or entries."""
    size = path.stat().st_size
    if size > config.max_archive_bytes:
        raise InvalidInputError(
            f"{path.name} is too large",
            expected=f"at most {config.max_archive_bytes} bytes",
            received=f"{size} bytes",
        )
    largest = (config.max_members + 1) * _DIRECTORY_BYTES_PER_MEMBER
    with _BoundedFile(path, largest) as stream:
        check_not_split(path)
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise not_a_zip(path, error) from error
        with archive:
            yield archive


class _BoundedFile(io.FileIO):
    """A file whose `read` returns at most `largest` bytes, or raises InvalidInputError.

    `zipfile` reads the whole central directory in one call, whatever size its header declares.
    """

    def __init__(self, path: Path, largest: int) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._largest = max(largest, 1 << 20)

    def read(self, size: int | None = -1, /) -> bytes:
        remaining = max(self._size - self.tell(), 0)
        requested = remaining if size is None or size < 0 else min(size, remaining)
        if requested > self._largest:
            raise InvalidInputError(
                "the archive's central directory is too large",
                expected=f"at most {self._largest} bytes",
                received=f"{requested} bytes",
            )
        return super().read(requested)
