"""Uploads closed log segments and kept images from the local disk to the store.

Local files mirror their address in the store, `<name>/<date>/<worker>-<seq>.jsonl`, below a folder
per worker. A file is deleted only after its upload, and its address never changes, so a crash
causes at most a second upload of the same bytes. While the store is unreachable, files wait on
disk up to MAX_PENDING_BYTES; beyond that the oldest are deleted, counted and logged.
"""

import fcntl
import logging
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bento_service import metrics
from bento_service.prediction_log.segments import (
    OPEN,
    LogRecord,
    SegmentWriter,
    closed_files,
    salvage,
)
from bento_service.process.reachability import ReachabilityLog
from pipeline.adapters.storage import ObjectStore
from pipeline.errors import PipelineError

logger = logging.getLogger(__name__)

RETRY_S = 15.0
"""Delay after a failed upload."""
MAX_PENDING_BYTES = 1_000_000_000
"""Limit per kind of file (predictions, feedback or images)."""
_LOCK = ".lock"


class LogUploader:
    """Writes log files of one worker to disk; `upload_due`, called periodically, uploads them.

    It uploads those of dead workers, too. Only `append` and `put` are thread-safe.
    """

    def __init__(
        self, folder: Path, store: ObjectStore, root: str, name: str, *, segment_seconds: float
    ) -> None:
        """Create and lock a worker folder below `folder`; files go to `root`/`name`/..."""
        self.worker = secrets.token_hex(6)
        self._folder = folder
        self._store = store
        self._root = root.rstrip("/")
        self._name = name
        self._retry_at = 0.0
        self._reachability = ReachabilityLog(f"the store at {self._root}")
        self._lock = _make_locked_folder(folder, self.worker)
        self._segments = SegmentWriter(folder / self.worker / name, self.worker, segment_seconds)

    def append(self, record: LogRecord) -> None:
        """Write one line to the open segment, see `SegmentWriter.append`; raises OSError."""
        self._segments.append(record)

    def put(self, path: str, data: bytes) -> None:
        """Write a whole file, uploaded later to `<root>/<name>/<path>`; raises OSError.

        A path must always get the same bytes.
        """
        target = self._folder / self.worker / self._name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{secrets.token_hex(4)}{OPEN}")
        try:
            part.write_bytes(data)
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)

    def upload_due(self) -> None:
        """Seal a due segment and upload closed files; no attempt within `RETRY_S` of a failed one.

        A failed upload is logged and retried, not raised; OSError when sealing fails.
        """
        self._segments.seal_due()
        if time.monotonic() >= self._retry_at:
            self._upload_all()

    def close(self) -> None:
        """Seal and upload the last segment; what fails is logged and waits for the next start."""
        try:
            self._segments.seal()
        except OSError:
            logger.exception("a log segment could not be sealed")
            metrics.LOG_FAILURES.inc()
        self._upload_all()
        self._lock.close()

    def _upload_all(self) -> None:
        """Upload closed files; on a failure logs it and deletes the oldest files over the limit."""
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
        """Upload the closed files of a worker folder and delete each; raises the first error."""
        for path in sorted(closed_files(worker)):
            uri = f"{self._root}/{path.relative_to(worker)}"
            self._store.upload(path, uri)
            path.unlink()
            logger.info("uploaded %s", uri)

    def _adopt_orphans(self) -> None:
        """Salvage and upload files of dead workers, remove the folders; raises the first error."""
        for lock_path in sorted(self._folder.glob(f"[!.]*/{_LOCK}")):
            worker = lock_path.parent
            if worker.name == self.worker:
                continue
            with lock_path.open("rb") as lock:
                if not _try_lock(lock):
                    continue
                for segment in sorted(worker.rglob(f"*{OPEN}")):
                    salvage(segment)
                self._upload(worker)
                shutil.rmtree(worker)


def _drop_oldest(folder: Path, max_bytes: int) -> None:
    """Delete the oldest closed files of all workers beyond `max_bytes`; counts and logs it.

    A file that another worker uploads meanwhile is ignored.
    """
    pending = []
    for path in closed_files(folder):
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
            "deleted the %d oldest files in %s: too many wait for upload", dropped, folder
        )


def _make_locked_folder(folder: Path, worker: str) -> BinaryIO:
    """Create the worker's folder, locked before other workers see it; returns the lock file."""
    hidden = folder / f".{worker}"
    hidden.mkdir(parents=True)
    lock = (hidden / _LOCK).open("wb")
    _try_lock(lock)
    hidden.rename(folder / worker)
    return lock


def _try_lock(file: BinaryIO) -> bool:
    """Try to lock a file; returns whether it was free. Closing the file releases the lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
