"""No file uses a word to avoid; the list finds them in prose and in identifiers."""

import re
from pathlib import Path

import pytest

from tests.architecture import vocabulary


def test_no_file_uses_a_word_to_avoid() -> None:
    """Code, tests, documents and pages; exceptions are listed by name."""
    files = vocabulary.tracked_files()
    assert len(files) > 400
    assert [line for file in files for line in vocabulary.violations(file)] == []


def test_every_exception_is_needed() -> None:
    """An exception whose word is gone is removed from the list."""
    unused = {
        (name, word)
        for name, word in vocabulary.NAMED
        if not re.search(rf"\b{word}\b", (vocabulary.ROOT / name).read_text())
    }
    assert not unused


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.py", "# The line in front of the engine.\n", "a.py:1: line in front of"),
        ("a.py", '"""Images are set\naside."""\n', "a.py:1: set\naside"),
        ("a.py", "def f(doubt: float) -> None: ...\n", "a.py:1: doubt"),
        ("a.py", "class OpenDoor: ...\n", "a.py:1: OpenDoor"),
        ("a.js", "const wantedName = 1;\n", "a.js:1: wantedName"),
        ("a.md", "\nThe store is away.\n", "a.md:2: is away"),
    ],
)
def test_a_listed_word_is_found(
    name: str, text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In comments, docstrings, identifiers, scripts and pages, also across a line break."""
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    (tmp_path / name).write_text(text)
    (line,) = vocabulary.violations(tmp_path / name)
    assert line.startswith(f"{expected} (instead: ")


def test_words_that_only_contain_a_listed_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`outdoors`, `ideal` and a threshold are no violations."""
    monkeypatch.setattr(vocabulary, "ROOT", tmp_path)
    (tmp_path / "a.py").write_text("ideal = threshold  # An ideal threshold outdoors.\n")
    assert list(vocabulary.violations(tmp_path / "a.py")) == []
