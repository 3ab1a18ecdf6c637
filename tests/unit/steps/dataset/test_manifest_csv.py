"""An archive's own `manifest.csv` is honoured to the letter, or refused with its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.manifest_csv import Said, read_manifest_csv

FILES = ("ROUND/a.png", "ROUND/b.png")
TABLE = "file,label,group\nROUND/a.png,LOBED,cell 7\nROUND/b.png,,\n"
READ = {"ROUND/a.png": Said("LOBED", "cell 7"), "ROUND/b.png": Said()}


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace("\n", "\n\n"),
        TABLE.rstrip(),
        "group,file,label\ncell 7,ROUND/a.png,LOBED\n,ROUND/b.png,\n",
        'file, label, group\n"ROUND/a.png", LOBED ,"cell 7"\nROUND/b.png, , \n',
    ],
    ids=["plain", "BOM", "CRLF", "CR", "blank lines", "no last line end", "order", "spaces"],
)
def test_one_table_however_an_editor_wrote_it(text: str) -> None:
    """Byte order mark, line ends, column order and spaces around words say nothing."""
    assert read_manifest_csv(text.encode(), FILES) == READ


def test_the_group_is_optional() -> None:
    """Without the column, images have no hint."""
    assert read_manifest_csv(b"file,label\nROUND/a.png,LOBED\n", FILES) == {
        "ROUND/a.png": Said("LOBED")
    }


def test_group_and_cell_are_two_columns() -> None:
    """Either may be there without the other, in any order."""
    table = b"cell,file,label,group\n7,ROUND/a.png,,p1\n7,ROUND/b.png,,\n"
    said = read_manifest_csv(table, FILES)
    assert said == {
        "ROUND/a.png": Said(group="p1", cell="7"),
        "ROUND/b.png": Said(cell="7"),
    }
    alone = read_manifest_csv(b"file,label,cell\nROUND/a.png,LOBED,7\n", FILES)
    assert alone == {"ROUND/a.png": Said("LOBED", cell="7")}


def test_images_need_no_row() -> None:
    """A header alone says nothing of any file; folders name the labels."""
    assert read_manifest_csv(b"file,label,group\n", FILES) == {}


@pytest.mark.parametrize(
    ("header", "received"),
    [
        ("", "''"),
        ("path,label,group", "'path,label,group'"),
        ("file,group", "'file,group'"),
        ("file,label,goup", "'file,label,goup'"),
        ("file,label,label", "'file,label,label'"),
        ("file;label;group", "'file;label;group'"),
    ],
    ids=["empty", "no file", "no label", "misspelt", "twice", "semicolons"],
)
def test_another_header_is_refused(header: str, received: str) -> None:
    """A misspelt column is an error: read without it, groups would be lost in silence."""
    with pytest.raises(InvalidInputError, match=r"line 1 .*columns file,label and") as refused:
        read_manifest_csv(header.encode(), FILES)
    assert refused.value.received == received


@pytest.mark.parametrize("column", ["file", "label", "group"])
@pytest.mark.parametrize("control", ["\r", "\n", "\t", "\0", "\x1b", "\x85"])
def test_a_control_character_is_refused_where_it_stands(column: str, control: str) -> None:
    """Line and column are named, and the character is shown by its code."""
    fields = {"file": "ROUND/a.png", "label": "LOBED", "group": "7"}
    fields[column] += control
    row = ",".join(f'"{value}"' for value in fields.values())
    with pytest.raises(InvalidInputError, match=rf"line 3 .* column {column}") as refused:
        read_manifest_csv(f"file,label,group\nROUND/b.png,,\n{row}\n".encode(), FILES)
    assert refused.value.received == repr(fields[column])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ROUND/c.png,x,\n", "line 2 names no file .* received 'ROUND/c.png'"),
        ("ROUND/,x,\n", "line 2 names no file"),
        ("ROUND/a.png,,\nROUND/b.png,,\nROUND/a.png,,\n", "line 4 names 'ROUND/a.png' again.*2"),
        ("ROUND/a.png\n", "line 2 has another number of fields; expected 3 .*received 1"),
        ("ROUND/a.png,x,7,8\n", "line 2 has another number of fields.*received 4"),
        ('ROUND/a.png,"x,\nROUND/b.png,,\n', "line 2 is no CSV"),
        ('"ROUND/a.png"x,,\n', "line 2 is no CSV"),
    ],
    ids=["unknown", "folder", "twice", "short", "long", "open quote", "torn quote"],
)
def test_a_wrong_row_is_refused_with_its_line(rows: str, message: str) -> None:
    """What a row cannot mean is never guessed."""
    with pytest.raises(InvalidInputError, match=message):
        read_manifest_csv(f"file,label,group\n{rows}".encode(), FILES)


@pytest.mark.parametrize("coding", ["utf-16", "latin-1"])
def test_another_encoding_is_refused(coding: str) -> None:
    """An umlaut in the wrong encoding would be another group."""
    with pytest.raises(InvalidInputError, match="expected CSV in UTF-8"):
        read_manifest_csv("file,label,group\nROUND/a.png,LOBED,Zelle ä\n".encode(coding), FILES)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """A broken manifest is never an error of ours."""
    with suppress(InvalidInputError):
        assert set(read_manifest_csv(b"file,label\n" + data, FILES)) <= set(FILES)
