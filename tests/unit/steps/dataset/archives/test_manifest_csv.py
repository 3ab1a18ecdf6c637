"""`manifest.csv` is parsed strictly: an error names its line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.manifest_csv import (
    ManifestRow,
    find_manifest,
    read_manifest_csv,
)

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
    ],
    ids=["empty", "no file", "no label", "misspelt", "twice"],
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


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "latin-1"])
def test_encodings_of_spreadsheets_are_read(coding: str) -> None:
    """Excel writes UTF-16 or the code page of the country, R what its user names."""
    table = "file,label,group\nROUND/a.png,LOBED,Zelle ä\n".encode(coding)
    assert read_manifest_csv(table, FILES) == {"ROUND/a.png": ManifestRow("LOBED", "Zelle ä")}


def test_the_code_page_is_the_one_whose_names_are_in_the_archive() -> None:
    """Or whose labels are classes: `é` of the code page of DOS is a quotation mark in Windows."""
    table = "file,label\nROUND/é1.png,éosinophile\n".encode("cp850")
    rows = read_manifest_csv(table, ["ROUND/é1.png"], is_class=lambda name: name == "éosinophile")
    assert rows == {"ROUND/é1.png": ManifestRow("éosinophile")}


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_rejected(data: bytes) -> None:
    """Any invalid manifest raises InvalidInputError."""
    with suppress(InvalidInputError):
        assert set(read_manifest_csv(b"file,label\n" + data, FILES)) <= set(FILES)


R_TABLE = '"","file","label","group"\n"1","ROUND/a.png","LOBED","cell 7"\n"2","ROUND/b.png","",""\n'


@pytest.mark.parametrize(
    "text",
    [
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        "sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n"),
        TABLE + ",,\n,,\n\n",
        TABLE.replace("\n", ",,\n"),
        TABLE.replace("file,label,group", "File, LABEL ,Group"),
        TABLE.replace("/", "\\"),
        TABLE.replace("ROUND/a.png", "./round/A.PNG"),
        TABLE.replace("ROUND/b.png,,", "ROUND/b.png,"),
        TABLE.replace("ROUND/a.png", " ROUND/a.png "),
        R_TABLE,
        R_TABLE.replace('"",', "", 1).replace(",", "\t"),
        R_TABLE.replace('""', "Unnamed: 0", 1),
    ],
    ids=[
        *("semicolons", "tabs", "sep line", "empty rows", "empty columns", "header case"),
        *("backslashes", "letter case", "short row", "blanks", "R csv", "R table", "pandas"),
    ],
)
@pytest.mark.field("manifest_one_down")
def test_tables_of_excel_and_r_give_one_table(text: str) -> None:
    """Separators, empty rows and columns, row numbers, and paths as Windows spells them."""
    assert read_manifest_csv(text.encode(), FILES) == READ


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ROUND/a.png,x,,9\n", "line 2 has the wrong number of fields"),
        ("a.png,x,\n", r"line 2 names a file that is not in .*, such as 'ROUND/a\.png'; received"),
        ("ROUND/c.png,x,\n", r"line 2 names a file that is not in .*, such as 'ROUND/[ab]\.png'"),
        (f"ROUND/a.png,{'x' * 100_001},\n", "line 2 is too long; expected at most 100000"),
    ],
    ids=["one field more", "no folder", "similar", "long line"],
)
def test_a_row_that_means_no_file_is_refused(rows: str, message: str) -> None:
    """With the line, and the path that it may mean."""
    with pytest.raises(InvalidInputError, match=message):
        read_manifest_csv(f"file,label,group\n{rows}".encode(), FILES)


def test_a_value_in_a_column_without_a_name_is_refused() -> None:
    """Else it would be lost."""
    with pytest.raises(InvalidInputError, match="line 2 has a value in column 3, which has no"):
        read_manifest_csv(b"file,label,,group\nROUND/a.png,x,y,z\n", FILES)


def test_a_path_is_that_of_one_file() -> None:
    """The exact path decides between files that differ in case alone."""
    files = ("ROUND/a.png", "round/A.png")
    exact = read_manifest_csv(b"file,label\nround/A.png,x\n", files)
    assert exact == {"round/A.png": ManifestRow("x")}
    several = "more than one file; expected one of 'ROUND/a"
    with pytest.raises(InvalidInputError, match=several):
        read_manifest_csv(b"file,label\nRound/a.png,x\n", files)


def test_paths_start_at_the_folder_of_the_table_or_at_the_root() -> None:
    """Unless both exist."""
    files = ("set/ROUND/a.png", "set/x.png", "x.png", "decomposed e\u0301.png")
    for path in ("ROUND/a.png", "set/ROUND/a.png", "../set/ROUND/a.png"):
        table = f"file,label\n{path},x\ndecomposed \u00e9.png,y\n".encode()
        rows = read_manifest_csv(table, files, path="set/manifest.csv")
        assert set(rows) == {"set/ROUND/a.png", "decomposed e\u0301.png"}
    with pytest.raises(InvalidInputError, match=r"^set/manifest.csv line 2 names more than one"):
        read_manifest_csv(b"file,label\nx.png,x\n", files, path="set/manifest.csv")


def test_an_alias_is_another_reading_of_a_path() -> None:
    """Of an archive that does not say how its names are encoded."""
    table = "file,label\n\u00e9.png,x\n".encode()
    rows = read_manifest_csv(table, ["\u250c.png"], aliases={"\u00e9.png": "\u250c.png"})
    assert set(rows) == {"\u250c.png"}


def test_the_table_is_found_at_any_depth() -> None:
    """In any letter case; two are refused by name."""
    assert find_manifest(["a/ROUND/1.png", "a/Manifest.CSV"]) == "a/Manifest.CSV"
    assert find_manifest(["a/ROUND/1.png", "a/my manifest.csv"]) is None
    with pytest.raises(InvalidInputError, match=r"2 tables .* received 'a/manifest.csv', 'manif"):
        find_manifest(["manifest.csv", "a/manifest.csv"])
