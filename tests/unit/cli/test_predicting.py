"""Many images to the service at once."""

import csv
import io
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import predicting
from pipeline.errors import InvalidInputError

ANSWER = {
    "label": "ROUND",
    "probabilities": {"ROUND": 0.9, "LOBED": 0.1},
    "decision": "review",
    "reasons": [{"code": "low_confidence", "message": ""}],
    "tag": "cells:1",
    "request_id": "r1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images at two depths, and a text."""
    (tmp_path / "deep").mkdir()
    for name in ("b.PNG", "a.jpg", "deep/c.jpeg", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_a_folder_stands_for_the_images_below_it(folder: Path) -> None:
    """By their endings, in order, and each once."""
    found = predicting.find_images([str(folder), str(folder / "a.jpg")])
    assert [path.name for path in found] == ["a.jpg", "b.PNG", "c.jpeg"]


def test_a_pattern_stands_for_what_it_matches(folder: Path) -> None:
    """Also below folders; a named file is taken whatever it is called."""
    found = predicting.find_images([str(folder / "**/*.jp*g"), str(folder / "notes.txt")])
    assert [path.name for path in found] == ["a.jpg", "c.jpeg", "notes.txt"]


@pytest.mark.parametrize("name", ["absent.jpg", "*.gif", "empty"])
def test_what_stands_for_nothing_is_named(folder: Path, name: str) -> None:
    """A typing mistake is no empty result."""
    (folder / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=r"no image; expected a file.*received .*/"):
        predicting.find_images([str(folder / name)])


def test_answers_keep_their_order_and_a_refusal_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two are asked at a time; the service never learns a file's name."""
    together = threading.Barrier(2, timeout=10)

    def classify(url: str, name: str, data: bytes, key: str) -> dict[str, Any]:
        together.wait()
        assert (url, name, key) == ("http://service.test", "image", "sesame")
        if data == b"a.jpg":
            raise InvalidInputError("it is no image")
        return ANSWER

    monkeypatch.setattr(predicting, "classify", classify)
    done: list[None] = []
    paths = [folder / "a.jpg", folder / "b.PNG"]
    told = predicting.ask_all("http://service.test", paths, 2, lambda: done.append(None), "sesame")
    assert [(one.file, one.label, one.error) for one, _ in told] == [
        (str(paths[0]), "", "it is no image"),
        (str(paths[1]), "ROUND", ""),
    ]
    assert (told[1][0].probability, told[1][0].reasons) == (0.9, "low_confidence")
    assert told[1][1] == ANSWER
    assert len(done) == 2


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_no_file_name_is_a_formula(first: str) -> None:
    """A spreadsheet that opens the table runs nothing; other names stay as they are."""
    names = [f"{first}HYPERLINK(1)", f"a{first}b"]
    text = predicting.spreadsheet(predicting.Told(file=name) for name in names)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["file"] for row in rows] == [f"'{names[0]}", names[1]]
