"""Errors of the operating system as one line for users."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import of_system


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, 4, "free some space"),
        (errno.EDQUOT, 4, "free some space"),
        (errno.EROFS, 2, "LEUKOFLOW_HOME"),
        (errno.EACCES, 2, "this user may write"),
        (errno.EMFILE, 2, "ulimit -n"),
    ],
)
def test_an_error_of_the_system_names_the_path_and_what_to_do(
    number: int, code: int, words: str
) -> None:
    """Disk, access and open files; any other error is a bug and keeps its traceback."""
    error = of_system(OSError(number, os.strerror(number), "/data/x"))
    assert error is not None
    assert error.exit_code == code
    assert "/data/x" in str(error)
    assert words in str(error)
    assert of_system(OSError(errno.ENOENT, "no such file", "/data/x")) is None


def test_a_command_on_a_read_only_home_is_one_line(
    run_command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Exit code 2, the path and the variable; no traceback."""

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setenv("LEUKOFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Path, "mkdir", refuse)
    assert run_command("keys", "add", "laboratory") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error {tmp_path}/home cannot be read or written by this user")
