"""What a worker writes down: lines into segments on disk, closed segments and files into the store.

Local files mirror their address in the store, `<name>/<date>/<worker>-<seq>.jsonl`, below a folder
per worker. One is removed here only after it was uploaded, and its address never changes, so a
crash at any moment costs at most a second upload of the same bytes. While the store does not answer
they wait, up to MAX_WAITING_BYTES; beyond that the oldest are dropped, counted and logged.
"""

import errno
import fcntl
import logging
import os
import secrets
import shutil
import threading
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from bento_service import metrics
from bento_service.process.reachability import Outage
from pipeline.adapters.storage import ObjectStore
from pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

SEGMENT_LINES = 1000
RETRY_SECONDS = 15.0
"""Pause after an upload that failed."""
MAX_WAITING_BYTES = 1_000_000_000
"""Of closed files of one kind (lines, labels or images) on this disk."""
_OPEN = ".open"
_LINES = ".jsonl"
_LOCK = ".lock"


class Line(Protocol):
    """What can be appended."""

    @property
    def time(self) -> datetime:
        """Its date chooses the folder."""
        ...

    def model_dump_json(self) -> str:
        """The line itself."""
        ...


class Outbox:
    """Of one worker process: `append` and `put` from any thread, `tend` and `close` from one."""

    def __init__(
        self, folder: Path, store: ObjectStore, root: str, name: str, *, segment_seconds: float
    ) -> None:
        """Take a folder of one's own below `folder`; segments go to `root`/`name`/..."""
        self.worker = secrets.token_hex(6)
        self._folder = folder
        self._store = store
        self._root = root.rstrip("/")
        self._name = name
        self._seconds = segment_seconds
        self._guard = threading.Lock()
        self._segment: _Segment | None = None
        self._count = 0
        self._retry_at = 0.0
        self._outage = Outage(f"the store of {self._root}")
        self._lock = _claim(folder, self.worker)

    def append(self, record: Line) -> None:
        """Write one line; it has left the process when this returns."""
        line = record.model_dump_json().encode() + b"\n"
        with self._guard:
            if self._segment and self._segment.is_over(record.time, self._seconds):
                self._seal()
            if self._segment is None:
                self._count += 1
                self._segment = _Segment(self._path(record.time))
            self._segment.write(line)

    def put(self, path: str, data: bytes) -> None:
        """Leave a whole file for `<root>/<name>/<path>`; one path always holds the same bytes."""
        target = self._folder / self.worker / self._name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}{_OPEN}")
        try:
            part.write_bytes(data)
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def tend(self) -> None:
        """Close a segment that is due, then upload what is closed, also of workers that died."""
        with self._guard:
            if self._segment and self._segment.is_over(None, self._seconds):
                self._seal()
        if time.monotonic() >= self._retry_at:
            self._upload_all()

    def close(self) -> None:
        """Close and upload the last segment; what cannot be uploaded waits for the next start."""
        with self._guard:
            self._seal()
        self._upload_all()
        self._lock.close()

    def _path(self, when: datetime) -> Path:
        name = f"{self.worker}-{self._count:06d}{_LINES}{_OPEN}"
        return self._folder / self.worker / self._name / when.date().isoformat() / name

    def _seal(self) -> None:
        segment, self._segment = self._segment, None  # one that cannot be sealed is not used again
        if segment is not None:
            segment.seal()

    def _upload_all(self) -> None:
        try:
            self._upload(self._folder / self.worker)
            self._adopt()
        except (PipelineError, OSError) as error:
            metrics.LOG_FAILURES.inc()
            self._outage.began(error)
            _drop_oldest(self._folder, MAX_WAITING_BYTES)
            self._retry_at = time.monotonic() + RETRY_SECONDS
        else:
            self._outage.ended()

    def _upload(self, worker: Path) -> None:
        for path in sorted(_closed(worker)):
            uri = f"{self._root}/{path.relative_to(worker)}"
            self._store.upload(path, uri)
            path.unlink()
            logger.info("uploaded %s", uri)

    def _adopt(self) -> None:
        """Upload what workers left that are no longer alive, and remove their folders."""
        for lock_path in sorted(self._folder.glob(f"[!.]*/{_LOCK}")):
            worker = lock_path.parent
            if worker.name == self.worker:
                continue
            with lock_path.open("rb") as lock:
                if not _lock(lock):
                    continue
                for left in sorted(worker.rglob(f"*{_OPEN}")):
                    _salvage(left)
                self._upload(worker)
                shutil.rmtree(worker)


def _closed(folder: Path) -> list[Path]:
    """Files that are complete and wait for their upload."""
    return [path for path in folder.rglob("*") if path.suffix not in ("", _OPEN)]


def _drop_oldest(folder: Path, max_bytes: int) -> None:
    """Delete the oldest closed files until the rest fits into `max_bytes`.

    A file that another worker uploads meanwhile is gone, and counts no more.
    """
    waiting = []
    for path in _closed(folder):
        with suppress(FileNotFoundError):
            found = path.stat()
            waiting.append((found.st_mtime, found.st_size, path))
    waiting.sort()
    excess = sum(size for _, size, _ in waiting) - max_bytes
    dropped = 0
    for _, size, path in waiting:
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size
        dropped += 1
    if dropped:
        metrics.LOG_DROPPED.inc(dropped)
        logger.warning("%d oldest files of %s dropped: no room while they wait", dropped, folder)


class _Segment:
    """An open file of lines."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._date = path.parent.name
        self._file = path.open("ab", buffering=0)
        self._lines = 0
        self._opened = time.monotonic()

    def is_over(self, when: datetime | None, seconds: float) -> bool:
        """Full, too old, or of another day than a line of `when`."""
        other_day = when is not None and when.date().isoformat() != self._date
        aged = time.monotonic() - self._opened >= seconds
        return other_day or aged or self._lines >= SEGMENT_LINES

    def write(self, line: bytes) -> None:
        """Whole or not at all: half a line would spoil the next one too."""
        size = os.fstat(self._file.fileno()).st_size
        written = self._file.write(line)
        if written != len(line):
            os.truncate(self._file.fileno(), size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._lines += 1

    def seal(self) -> None:
        """Bring the lines to the disk and give the file its final name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.rename(self._path.with_suffix(""))


def _claim(folder: Path, worker: str) -> BinaryIO:
    """Make the worker's folder, already locked when others can see it."""
    hidden = folder / f".{worker}"
    hidden.mkdir(parents=True)
    lock = (hidden / _LOCK).open("wb")
    _lock(lock)
    hidden.rename(folder / worker)
    return lock


def _lock(file: BinaryIO) -> bool:
    """Whether the lock was free; it is held until the file, or its process, is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _salvage(path: Path) -> None:
    """Close a dead worker's segment, without the line it was killed in; half a file is nothing."""
    data = path.read_bytes() if path.name.endswith(f"{_LINES}{_OPEN}") else b""
    whole = data[: data.rfind(b"\n") + 1]
    if whole:
        path.write_bytes(whole)
        path.rename(path.with_suffix(""))
    else:
        path.unlink()
