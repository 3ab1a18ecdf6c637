"""Checks of the machine."""

import os
import resource
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.doctor import machine
from pipeline.doctor.finding import Subject

Examined = Callable[..., Subject]
Usage = namedtuple("Usage", "total used free")


def test_missing_weights_are_a_note(examined: Examined, tmp_path: Path) -> None:
    """They are downloaded when needed; no check makes the home."""
    subject = examined()
    (weights,) = machine.weights(subject)
    assert (weights.state, weights.exit_code) == ("note", 0)
    assert [finding.state for finding in machine.python(subject)] == ["ok"]
    assert [finding.state for finding in machine.home(subject)] == ["ok"]
    assert not (tmp_path / "home").exists()


def test_weights_from_a_file_that_is_missing_are_a_problem(examined: Examined) -> None:
    """The variable is named."""
    (weights,) = machine.weights(examined(WEIGHTS_URI="/nowhere/vgg16.npz"))
    assert weights.exit_code == 2
    assert "WEIGHTS_URI" in weights.action


def test_a_home_that_is_a_file_is_a_problem(examined: Examined, tmp_path: Path) -> None:
    """With what to do."""
    (tmp_path / "home").write_text("")
    (home,) = machine.home(examined())
    assert home.exit_code == 2
    assert "LEUKOFLOW_HOME" in home.action


def test_a_read_only_home_is_a_problem(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder that cannot be written is named: of a home, of its parts, or the parent."""
    subject = examined()
    logs = tmp_path / "home/logs"
    for refused in (tmp_path, tmp_path / "home", logs):
        refused.mkdir(parents=True, exist_ok=True)
        monkeypatch.setattr(os, "access", lambda path, _, bad=refused: Path(path) != bad)
        (home,) = machine.home(subject)
        assert (home.state, home.exit_code) == ("problem", 2)
        assert home.value.startswith(f"{refused} is not writable")


@pytest.mark.parametrize(("free", "states"), [(10**10, ["ok"] * 2), (10**8, ["problem"] * 2)])
def test_little_disk_is_a_problem(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, free: int, states: list[str]
) -> None:
    """Of the home and of the temporary folder, into which archives are downloaded."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**11, 0, free))
    findings = list(machine.disk(examined()))
    assert [finding.state for finding in findings] == states
    assert ["TMPDIR" in finding.action for finding in findings] == [False, free < 10**9]


def test_no_temporary_folder_is_a_problem(
    examined: Examined, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All candidates are full or read-only."""

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    assert "TMPDIR" in list(machine.disk(examined()))[-1].action


@pytest.mark.parametrize(("soft", "state"), [(256, "problem"), (1024, "ok"), (-1, "ok")])
def test_a_low_limit_of_open_files_is_a_problem(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, soft: int, state: str
) -> None:
    """The action raises it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, 4096))
    (files,) = machine.open_files(examined())
    assert files.state == state
    assert ("ulimit -n" in files.action) == (state == "problem")


@pytest.mark.parametrize(("name", "state"), [("ISO-8859-1", "problem"), ("UTF-8", "ok")])
def test_a_text_encoding_that_is_not_utf_8_is_a_problem(
    examined: Examined, monkeypatch: pytest.MonkeyPatch, name: str, state: str
) -> None:
    """The variables that cause it are named."""
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: name)
    (text,) = machine.encoding(examined(LC_ALL="de_DE.ISO-8859-1"))
    assert text.state == state
    if state == "problem":
        assert "LC_ALL=de_DE.ISO-8859-1" in text.value


def test_little_memory_is_a_note(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a container counts."""
    monkeypatch.setattr(machine, "_memory_limits", lambda: iter([2_000_000_000]))
    (memory,) = machine.memory(examined())
    assert (memory.state, memory.value) == ("note", "2.0 GB")


def test_an_old_python_is_a_problem(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action names the versions."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    (python,) = machine.python(examined())
    assert "3.11" in python.action
