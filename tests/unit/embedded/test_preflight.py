"""What must hold before a stack starts."""

from pathlib import Path

import pytest

from pipeline.embedded import preflight
from pipeline.errors import UnreachableError


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be is told with its path."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(UnreachableError, match="cannot write the stack's folder"):
        preflight.make_folders(tmp_path / "taken")


def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message gives what is needed and what is there."""
    monkeypatch.setattr(preflight, "LEAST_FREE_BYTES", 10**18)
    with pytest.raises(UnreachableError, match=r"too little disk space .* expected .* received"):
        preflight.make_folders(tmp_path)


def test_second_start_at_the_same_time_is_refused(tmp_path: Path) -> None:
    """Two starts of one stack do not race."""
    with (
        preflight.alone(tmp_path),
        pytest.raises(UnreachableError, match="another"),
        preflight.alone(tmp_path),
    ):
        pass
