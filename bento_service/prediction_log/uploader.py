"""Log uploader: lines go to segments on disk, closed segments and whole files to the store.

Local files mirror their address in the store, `<name>/<date>/<worker>-<seq>.jsonl`, below a folder
per worker. A file is deleted only after its upload, and its address never changes, so a crash
causes at most a second upload of the same bytes. While the store is unreachable, files wait on
disk up to MAX_PENDING_BYTES; beyond that the oldest are deleted, counted and logged.
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
from bento_service.process.reachability import ReachabilityLog
from pipeline.adapters.storage import ObjectStore
from pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

SEGMENT_LINES = 1000
RETRY_S = 15.0
"""Delay after a failed upload."""
MAX_PENDING_BYTES = 1_000_000_000
"""Limit per kind of file (predictions, feedback or images)."""
_OPEN = ".open"
_LINES = ".jsonl"
_LOCK = ".lock"


class LogRecord(Protocol):
    """A record with a time."""

    @property
    def time(self) -> datetime:
        """Time of the record; its date names the folder."""
        ...

    def model_dump_json(self) -> str:
        """The record as one line."""
        ...


class LogUploader:
    """Files of one worker process; `append` and `put` are thread-safe, other methods are not."""

    def __init__(
        self, folder: Path, store: ObjectStore, root: str, name: str, *, segment_seconds: float
    ) -> None:
        """Create and lock a worker folder below `folder`; files go to `root`/`name`/..."""
        self.worker = secrets.token_hex(6)
        self._folder = folder
        self._store = store
        self._root = root.rstrip("/")
        self._name = name
        self._segment_seconds = segment_seconds
        self._segment_lock = threading.Lock()
        self._segment: _Segment | None = None
        self._count = 0
        self._retry_at = 0.0
        self._reachability = ReachabilityLog(f"the store at {self._root}")
        self._lock = _claim(folder, self.worker)

    def append(self, record: LogRecord) -> None:
        """Write one line; it survives a crash of the process when this returns."""
        line = record.model_dump_json().encode() + b"\n"
        with self._segment_lock:
            if self._segment and self._segment.is_due(record.time, self._segment_seconds):
                self._seal()
            if self._segment is None:
                self._count += 1
                self._segment = _Segment(self._path(record.time))
            self._segment.write(line)

    def put(self, path: str, data: bytes) -> None:
        """Queue a whole file for `<root>/<name>/<path>`; a path must always get the same bytes."""
        target = self._folder / self.worker / self._name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}{_OPEN}")
        try:
            part.write_bytes(data)
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def upload_due(self) -> None:
        """Close a due segment, then upload closed files, including those of dead workers."""
        with self._segment_lock:
            if self._segment and self._segment.is_due(None, self._segment_seconds):
                self._seal()
        if time.monotonic() >= self._retry_at:
            self._upload_all()

    def close(self) -> None:
        """Close and upload the last segment; what fails waits on disk for the next start."""
        with self._segment_lock:
            self._seal()
        self._upload_all()
        self._lock.close()

    def _path(self, when: datetime) -> Path:
        name = f"{self.worker}-{self._count:06d}{_LINES}{_OPEN}"
        return self._folder / self.worker / self._name / when.date().isoformat() / name

    def _seal(self) -> None:
        segment, self._segment = self._segment, None  # not reused, even if sealing fails
        if segment is not None:
            segment.seal()

    def _upload_all(self) -> None:
        """Upload closed files; on failure count, log, delete the oldest and schedule a retry."""
        try:
            self._upload(self._folder / self.worker)
            self._adopt_orphans()
        except (PipelineError, OSError) as error:
            metrics.LOG_FAILURES.inc()
            self._reachability.failed(error)
            _drop_oldest(self._folder, MAX_PENDING_BYTES)
            self._retry_at = time.monotonic() + RETRY_S
        else:
            self._reachability.succeeded()

    def _upload(self, worker: Path) -> None:
        """Upload the closed files of a worker folder and delete each; stops at the first error."""
        for path in sorted(_closed(worker)):
            uri = f"{self._root}/{path.relative_to(worker)}"
            self._store.upload(path, uri)
            path.unlink()
            logger.info("uploaded %s", uri)

    def _adopt_orphans(self) -> None:
        """Upload the files of dead workers and remove their folders."""
        for lock_path in sorted(self._folder.glob(f"[!.]*/{_LOCK}")):
            worker = lock_path.parent
            if worker.name == self.worker:
                continue
            with lock_path.open("rb") as lock:
                if not _try_lock(lock):
                    continue
                for segment in sorted(worker.rglob(f"*{_OPEN}")):
                    _salvage(segment)
                self._upload(worker)
                shutil.rmtree(worker)


def _closed(folder: Path) -> list[Path]:
    """Complete files that wait for upload."""
    return [path for path in folder.rglob("*") if path.suffix not in ("", _OPEN)]


def _drop_oldest(folder: Path, max_bytes: int) -> None:
    """Delete the oldest closed files until the rest fits into `max_bytes`; count and log it.

    A file that another worker uploads meanwhile is ignored.
    """
    pending = []
    for path in _closed(folder):
        with suppress(FileNotFoundError):
            stat = path.stat()
            pending.append((stat.st_mtime, stat.st_size, path))
    pending.sort()
    excess = sum(size for _, size, _ in pending) - max_bytes
    dropped = 0
    for _, size, path in pending:
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size
        dropped += 1
    if dropped:
        metrics.LOG_DROPPED.inc(dropped)
        logger.warning(
            "deleted the %d oldest files in %s: too many wait for upload",
            dropped,
            folder,
        )


class _Segment:
    """An open segment: a file of lines."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._date = path.parent.name
        self._file = path.open("ab", buffering=0)
        self._lines = 0
        self._opened = time.monotonic()

    def is_due(self, when: datetime | None, seconds: float) -> bool:
        """Whether it is full, too old, or of another date than `when`."""
        other_day = when is not None and when.date().isoformat() != self._date
        aged = time.monotonic() - self._opened >= seconds
        return other_day or aged or self._lines >= SEGMENT_LINES

    def write(self, line: bytes) -> None:
        """Append a whole line or raise OSError; half a line would corrupt the next one."""
        size = os.fstat(self._file.fileno()).st_size
        written = self._file.write(line)
        if written != len(line):
            os.truncate(self._file.fileno(), size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._lines += 1

    def seal(self) -> None:
        """Sync the file to disk and give it its final name."""
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.rename(self._path.with_suffix(""))


def _claim(folder: Path, worker: str) -> BinaryIO:
    """Create the worker's folder, locked before other workers can see it."""
    hidden = folder / f".{worker}"
    hidden.mkdir(parents=True)
    lock = (hidden / _LOCK).open("wb")
    _try_lock(lock)
    hidden.rename(folder / worker)
    return lock


def _try_lock(file: BinaryIO) -> bool:
    """Take the lock if it is free; it is released when the file or the process is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _salvage(path: Path) -> None:
    """Close a dead worker's segment without its incomplete last line; delete incomplete files."""
    data = path.read_bytes() if path.name.endswith(f"{_LINES}{_OPEN}") else b""
    whole = data[: data.rfind(b"\n") + 1]
    if whole:
        path.write_bytes(whole)
        path.rename(path.with_suffix(""))
    else:
        path.unlink()
