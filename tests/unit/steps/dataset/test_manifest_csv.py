"""`manifest.csv` is parsed strictly: an error names its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.manifest_csv import ManifestRow, read_manifest_csv

FILES = ("ROUND/a.png", "ROUND/b.png")
TABLE = "file,label,group\nROUND/a.png,LOBED,cell 7\nROUND/b.png,,\n"
READ = {"ROUND/a.png": ManifestRow("LOBED", "cell 7"), "ROUND/b.png": ManifestRow()}


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
def test_editors_formats_give_one_table(text: str) -> None:
    """Byte order mark, line endings, column order and surrounding spaces have no effect."""
    assert read_manifest_csv(text.encode(), FILES) == READ


def test_the_group_is_optional() -> None:
    """Without the group column, records have no hint."""
    assert read_manifest_csv(b"file,label\nROUND/a.png,LOBED\n", FILES) == {
        "ROUND/a.png": ManifestRow("LOBED")
    }


def test_group_and_cell_are_two_columns() -> None:
    """Each column is optional, in any order."""
    table = b"cell,file,label,group\n7,ROUND/a.png,,p1\n7,ROUND/b.png,,\n"
    rows = read_manifest_csv(table, FILES)
    assert rows == {
        "ROUND/a.png": ManifestRow(group="p1", cell="7"),
        "ROUND/b.png": ManifestRow(cell="7"),
    }
    alone = read_manifest_csv(b"file,label,cell\nROUND/a.png,LOBED,7\n", FILES)
    assert alone == {"ROUND/a.png": ManifestRow("LOBED", cell="7")}


def test_images_need_no_row() -> None:
    """With a header alone, folders name the labels."""
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
def test_another_header_is_rejected(header: str, received: str) -> None:
    """A misspelt column is an error, since the groups would be lost silently."""
    with pytest.raises(InvalidInputError, match=r"line 1 .*columns file,label and") as refused:
        read_manifest_csv(header.encode(), FILES)
    assert refused.value.received == received


@pytest.mark.parametrize("column", ["file", "label", "group"])
@pytest.mark.parametrize("control", ["\r", "\n", "\t", "\0", "\x1b", "\x85"])
def test_a_control_character_is_rejected_with_its_line_and_column(
    column: str, control: str
) -> None:
    """The error names line and column and shows the escaped character."""
    fields = {"file": "ROUND/a.png", "label": "LOBED", "group": "7"}
    fields[column] += control
    row = ",".join(f'"{value}"' for value in fields.values())
    with pytest.raises(InvalidInputError, match=rf"line 3 .* column {column}") as refused:
        read_manifest_csv(f"file,label,group\nROUND/b.png,,\n{row}\n".encode(), FILES)
    assert refused.value.received == repr(fields[column])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "ROUND/c.png,x,\n",
            "line 2 names a file that is not in .* received 'ROUND/c.png'",
        ),
        ("ROUND/,x,\n", "line 2 names a file that is not in the archive"),
        ("ROUND/a.png,,\nROUND/b.png,,\nROUND/a.png,,\n", "line 4 repeats 'ROUND/a.png' of line 2"),
        ("ROUND/a.png\n", "line 2 has the wrong number of fields; expected 3, .*received 1"),
        ("ROUND/a.png,x,7,8\n", "line 2 has the wrong number of fields.*received 4"),
        ('ROUND/a.png,"x,\nROUND/b.png,,\n', "line 2 is not valid CSV"),
        ('"ROUND/a.png"x,,\n', "line 2 is not valid CSV"),
    ],
    ids=["unknown", "folder", "twice", "short", "long", "open quote", "torn quote"],
)
def test_an_invalid_row_is_rejected_with_its_line(rows: str, message: str) -> None:
    """An invalid row is an error, never guessed at."""
    with pytest.raises(InvalidInputError, match=message):
        read_manifest_csv(f"file,label,group\n{rows}".encode(), FILES)


@pytest.mark.parametrize("coding", ["utf-16", "latin-1"])
def test_another_encoding_is_rejected(coding: str) -> None:
    """A manifest that is not UTF-8 is rejected, since its names would be wrong."""
    with pytest.raises(InvalidInputError, match="expected CSV in UTF-8"):
        read_manifest_csv("file,label,group\nROUND/a.png,LOBED,Zelle ä\n".encode(coding), FILES)


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_rejected(data: bytes) -> None:
    """Any invalid manifest raises InvalidInputError."""
    with suppress(InvalidInputError):
        assert set(read_manifest_csv(b"file,label\n" + data, FILES)) <= set(FILES)
