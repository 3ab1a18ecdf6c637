"""`leukoflow predict`: the choice of files, and their concurrent requests."""

import csv
import io
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import batch_prediction
from pipeline.errors import InvalidInputError
from pipeline.records import FileCounts

RESPONSE = {
    "label": "ROUND",
    "probabilities": {"ROUND": 0.9, "LOBED": 0.1},
    "decision": "review",
    "reasons": [{"code": "low_confidence", "message": ""}],
    "tag": "cells:1",
    "request_id": "r1",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images at two depths, and a text file."""
    (tmp_path / "deep").mkdir()
    for name in ("b.PNG", "a.jpg", "deep/c.jpeg", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def test_a_folder_means_all_images_below_it(folder: Path) -> None:
    """By suffix, sorted, and each once."""
    found, left_out = batch_prediction.find_images([str(folder), str(folder / "a.jpg")])
    assert left_out == FileCounts(skipped={"text": 1})
    assert [path.name for path in found] == ["a.jpg", "b.PNG", "c.jpeg"]


@pytest.mark.field("bitmaps")
def test_bitmaps_in_a_folder_are_sent(folder: Path) -> None:
    """As every suffix of the formats that the service reads; a TIFF is counted."""
    for name in ("d.BMP", "e.dib", "f.jfif", "g.tif"):
        (folder / name).write_bytes(b"x")
    found, left_out = batch_prediction.find_images([str(folder)])
    assert {path.name for path in found} >= {"d.BMP", "e.dib", "f.jfif"}
    assert left_out.skipped == {"format that the service does not read": 1, "text": 1}


@pytest.mark.field("appledouble")
def test_metadata_and_other_formats_in_a_folder_are_counted_and_not_sent(folder: Path) -> None:
    """By name, folder and first bytes; a file that an argument names is sent."""
    apple_double = b"\x00\x05\x16\x07" + bytes(60)
    others = {
        **{f"._{name}": apple_double for name in ("a.jpg", "b.PNG")},
        "deep/_c.jpeg": apple_double,
        "deep/@eaDir/c.jpeg/SYNO.jpg": b"x",
        "Thumbs.db": b"x",
        "scan.svs": b"x",
        "masks/a.jpg": b"x",
    }
    for name, data in others.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    found, left_out = batch_prediction.find_images([str(folder)])
    assert [path.name for path in found] == ["a.jpg", "b.PNG", "c.jpeg"]
    assert left_out.ignored == {
        "macOS metadata": 3,
        "Windows metadata": 1,
        "network storage metadata": 1,
    }
    assert left_out.skipped == {
        "format that the service does not read": 1,
        "mask": 1,
        "text": 1,
    }
    named, _ = batch_prediction.find_images([str(folder / "._a.jpg"), str(folder / "masks")])
    assert [path.name for path in named] == ["._a.jpg", "a.jpg"]


def test_a_pattern_means_its_matches(folder: Path) -> None:
    """Also below folders; a named file is sent with any suffix."""
    found, _ = batch_prediction.find_images([str(folder / "**/*.jp*g"), str(folder / "notes.txt")])
    assert [path.name for path in found] == ["a.jpg", "c.jpeg", "notes.txt"]


@pytest.mark.parametrize("name", ["absent.jpg", "*.gif", "empty"])
def test_an_argument_without_a_match_is_an_error(folder: Path, name: str) -> None:
    """The error names it; a typing mistake gives no empty result."""
    (folder / "empty").mkdir()
    with pytest.raises(InvalidInputError, match=r"no image found; expected a file.*received .*/"):
        batch_prediction.find_images([str(folder / name)])


def test_results_keep_the_order_of_the_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests are concurrent, an error keeps its row, and no file name is sent."""
    together = threading.Barrier(2, timeout=10)

    def classify(url: str, name: str, data: bytes, key: str) -> dict[str, Any]:
        together.wait()
        assert (url, name, key) == ("http://service.test", "image", "sesame")
        if data == b"a.jpg":
            raise InvalidInputError("not an image")
        return RESPONSE

    monkeypatch.setattr(batch_prediction, "classify", classify)
    done: list[None] = []
    paths = [folder / "a.jpg", folder / "b.PNG"]
    results = batch_prediction.predict_all(
        "http://service.test", paths, 2, lambda: done.append(None), "sesame"
    )
    assert [(row.file, row.label, row.error) for row, _ in results] == [
        (str(paths[0]), "", "not an image"),
        (str(paths[1]), "ROUND", ""),
    ]
    assert (results[1][0].probability, results[1][0].reasons) == (0.9, "low_confidence")
    assert results[1][1] == RESPONSE
    assert len(done) == 2


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r"])
def test_a_file_name_is_never_a_formula(first: str) -> None:
    """A spreadsheet runs no file name; other names are unchanged."""
    names = [f"{first}HYPERLINK(1)", f"a{first}b"]
    text = batch_prediction.spreadsheet(batch_prediction.PredictionRow(file=name) for name in names)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["file"] for row in rows] == [f"'{names[0]}", names[1]]
    text = batch_prediction.spreadsheet([batch_prediction.PredictionRow(file="a", label=names[0])])
    assert next(csv.DictReader(io.StringIO(text, newline="")))["label"] == f"'{names[0]}"


@pytest.mark.field("bracketed [names]")
def test_a_folder_with_brackets_in_its_name_is_no_pattern(tmp_path: Path) -> None:
    """Neither are files with brackets; the rest of the argument is."""
    folder = tmp_path / "slide [a]" / "day [1]"
    folder.mkdir(parents=True)
    (folder / "x [b].jpg").write_bytes(b"x")
    for argument in (folder, folder / "x [b].jpg", folder / "*.jpg", folder.parent / "**/*.jpg"):
        (found,), _ = batch_prediction.find_images([str(argument)])
        assert found == folder / "x [b].jpg"
