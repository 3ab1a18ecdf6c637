"""Before a start of the stack: make its folders, require free disk space, take the lock."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UnreachableError

MIN_FREE_BYTES = 2_000_000_000


def make_folders(home: Path) -> None:
    """Make the stack's folders; UnreachableError if not writable or the disk is nearly full."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in ("logs", "data/s3", "data/airflow"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise _not_writable(home, str(error)) from error
    if not os.access(home, os.W_OK):
        raise _not_writable(home, "a read-only file system, or a folder of another user")
    if free < MIN_FREE_BYTES:
        raise UnreachableError(
            f"too little disk space for the stack's folder {home}: free some, or set "
            "LEUKOFLOW_HOME to a folder on another disk",
            expected=f"{MIN_FREE_BYTES / 1e9:.0f} GB free",
            received=f"{free / 1e9:.1f} GB",
        )


def _not_writable(home: Path, reason: str) -> UnreachableError:
    return UnreachableError(
        f"cannot write the stack's folder {home}",
        expected="a folder that this user may write, in LEUKOFLOW_HOME",
        received=reason,
    )


@contextlib.contextmanager
def start_lock(home: Path) -> Iterator[None]:
    """Lock a home against a second `up` during the block; UnreachableError at once if locked."""
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnreachableError(
                f"another `leukoflow up` is running for {home}; wait until it ends"
            ) from error
        yield
