"""The list of words to avoid finds them, in prose and in identifiers."""

from pathlib import Path

import pytest

from tests.architecture import vocabulary


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
