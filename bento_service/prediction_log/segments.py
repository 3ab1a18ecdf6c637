"""Segments: the log files that a worker writes, from the first line to the final name.

`<worker>-<seq>.jsonl.open` is being written; sealing syncs it to disk and removes `.open`.
"""

import errno
import os
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Protocol

MAX_LINES = 1000
"""Of one segment."""
OPEN = ".open"
"""Suffix of a file that is incomplete, a segment or an image."""
_LINES = ".jsonl"


class LogRecord(Protocol):
    """A line of a log: a pydantic model with a time."""

    @property
    def time(self) -> datetime:
        """Time of the record; its date names the folder."""
        ...

    def model_dump_json(self) -> str:
        """The record as one line."""
        ...


class SegmentWriter:
    """Appends lines to one open segment and replaces it when due; thread-safe."""

    def __init__(self, folder: Path, worker: str, max_age_s: float) -> None:
        """Write `<folder>/<date>/<worker>-<seq>.jsonl`; creates nothing before the first line."""
        self._folder = folder
        self._worker = worker
        self._max_age_s = max_age_s
        self._lock = threading.Lock()
        self._segment: _Segment | None = None
        self._count = 0

    def append(self, record: LogRecord) -> None:
        """Write one line, which then survives a crash of the process; raises OSError.

        A segment that cannot be sealed is given up: the next line starts another one.
        """
        line = record.model_dump_json().encode() + b"\n"
        with self._lock:
            if self._segment and self._segment.is_due(record.time, self._max_age_s):
                self._seal()
            if self._segment is None:
                self._count += 1
                name = f"{self._worker}-{self._count:06d}{_LINES}{OPEN}"
                self._segment = _Segment(self._folder / record.time.date().isoformat() / name)
            self._segment.write(line)

    def seal_due(self) -> None:
        """Seal the open segment if it is full or too old; forgets it even if it raises OSError."""
        with self._lock:
            if self._segment and self._segment.is_due(None, self._max_age_s):
                self._seal()

    def seal(self) -> None:
        """Seal the open segment, if there is one; raises OSError."""
        with self._lock:
            self._seal()

    def _seal(self) -> None:
        """Seal the open segment and forget it, also on OSError; the caller holds the lock."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.seal()


class _Segment:
    """An open segment: a file of lines."""

    def __init__(self, path: Path) -> None:
        """Create the file and its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._date = path.parent.name
        self._file = path.open("ab", buffering=0)
        self._lines = 0
        self._opened = time.monotonic()

    def is_due(self, when: datetime | None, max_age_s: float) -> bool:
        """Whether the segment is full, too old, or of another date than `when` (None: any)."""
        other_day = when is not None and when.date().isoformat() != self._date
        aged = time.monotonic() - self._opened >= max_age_s
        return other_day or aged or self._lines >= MAX_LINES

    def write(self, line: bytes) -> None:
        """Append a whole line, or raise OSError and append nothing."""
        size = os.fstat(self._file.fileno()).st_size
        written = self._file.write(line)
        if written != len(line):
            os.truncate(self._file.fileno(), size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._lines += 1

    def seal(self) -> None:
        """Sync the file to disk, close it and give it its final name; raises OSError."""
        with self._file:
            os.fsync(self._file.fileno())
        self._path.rename(self._path.with_suffix(""))


def salvage(path: Path) -> None:
    """Seal a dead worker's segment without its torn last line; delete any other incomplete file."""
    data = path.read_bytes() if path.name.endswith(f"{_LINES}{OPEN}") else b""
    whole = data[: data.rfind(b"\n") + 1]
    if whole:
        path.write_bytes(whole)
        path.rename(path.with_suffix(""))
    else:
        path.unlink()


def closed_files(folder: Path) -> list[Path]:
    """Complete files below a folder, which wait for upload: sealed segments and images."""
    return [path for path in folder.rglob("*") if path.suffix not in ("", OPEN)]
