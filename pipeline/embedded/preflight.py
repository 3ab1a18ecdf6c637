"""What must hold before a stack starts: room on the disk, and nobody else starting it."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UnreachableError

LEAST_FREE_BYTES = 2_000_000_000


def make_folders(home: Path) -> None:
    """Make the stack's folders and check that they can be written and have room.

    Raises:
        UnreachableError: in one line, naming the folder.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in ("logs", "data/s3", "data/airflow"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise UnreachableError(f"cannot write the stack's folder {home}: {error}") from error
    if not os.access(home, os.W_OK):
        raise UnreachableError(f"cannot write the stack's folder {home}")
    if free < LEAST_FREE_BYTES:
        raise UnreachableError(
            f"too little disk space for the stack's folder {home}",
            expected=f"{LEAST_FREE_BYTES / 1e9:.0f} GB free",
            received=f"{free / 1e9:.1f} GB",
        )


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time.

    Raises:
        UnreachableError: when another one is at work.
    """
    with (home / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnreachableError(f"another `leukoflow up` is at work on {home}") from error
        yield
