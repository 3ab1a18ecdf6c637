"""Checks before a stack starts."""

from pathlib import Path

import pytest

from pipeline.embedded import preflight
from pipeline.errors import UnreachableError


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """The error names the path at which a file is in the way."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(UnreachableError, match="cannot write the stack's folder"):
        preflight.make_folders(tmp_path / "taken")


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the required and the free disk space."""
    monkeypatch.setattr(preflight, "MIN_FREE_BYTES", 10**18)
    with pytest.raises(UnreachableError, match=r"too little disk space .* expected .* received"):
        preflight.make_folders(tmp_path)


def test_a_read_only_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable that moves it."""
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UnreachableError, match=r"cannot write .*; expected .* LEUKOFLOW_HOME"):
        preflight.make_folders(tmp_path)


def test_second_start_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """The second start of one stack fails while the first one runs."""
    with (
        preflight.start_lock(tmp_path),
        pytest.raises(UnreachableError, match="another"),
        preflight.start_lock(tmp_path),
    ):
        pass
