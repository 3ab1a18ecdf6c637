"""`manifest.csv` at the root of an archive: label, group and cell that its maker names."""

import csv
import io
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import InvalidInputError

MANIFEST_CSV = "manifest.csv"
_REQUIRED = ("file", "label")
_OPTIONAL = ("group", "cell")


@dataclass(frozen=True)
class Said:
    """What a row says of a file; empty where it says nothing, and folder or pattern decide."""

    label: str = ""
    group: str = ""
    """Slide, patient or source cell."""
    cell: str = ""
    """Within its group; without one it is its own."""


def read_manifest_csv(data: bytes, files: Collection[str]) -> dict[str, Said]:
    """Parse a manifest, strictly: a misspelt column would lose the groups without a word.

    Args:
        data: CSV in UTF-8, with or without a byte order mark, with any line ends. The columns
            `file`, `label` and, if wanted, `group` and `cell` stand in any order.
        files: paths inside the archive. Those that no row names keep their folder's label.

    Returns:
        What is said, by path.

    Raises:
        InvalidInputError: names the line, what was expected and what stands there.
    """
    said: dict[str, Said] = {}
    lines: dict[str, int] = {}
    for line, row in _rows(data):
        file = row["file"]
        if file not in files:
            raise _wrong(line, "names no file of the archive", "a path inside it", repr(file))
        if file in said:
            raise _wrong(line, f"names {file!r} again", "one row per file", f"line {lines[file]}")
        said[file] = Said(*(row.get(name, "").strip() for name in ("label", *_OPTIONAL)))
        lines[file] = line
    return said


def _rows(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row by column, and the line it begins on."""
    table = _table(data)
    header = next(table, (1, []))[1]
    columns = [name.strip() for name in header]
    allowed = {*_REQUIRED, *_OPTIONAL}
    fits = set(_REQUIRED) <= set(columns) <= allowed and len(set(columns)) == len(columns)
    if not fits:
        expected = f"columns {','.join(_REQUIRED)} and, if wanted, {' and '.join(_OPTIONAL)}"
        raise _wrong(1, "is no such header", expected, repr(",".join(header)))
    for line, fields in table:
        if len(fields) != len(columns):
            raise _wrong(
                line, "has another number of fields", f"{len(columns)} as the header", len(fields)
            )
        row = dict(zip(columns, fields, strict=True))
        _check_printable(line, row)
        yield line, row


def _table(data: bytes) -> Iterator[tuple[int, Sequence[str]]]:
    """Fields of each line that is not blank."""
    reader = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    begins = 1
    try:
        for fields in reader:
            if fields:
                yield begins, fields
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _wrong(begins, "is no CSV", "fields parted by commas", error) from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{MANIFEST_CSV} cannot be read", expected="CSV in UTF-8", received=str(error)
        ) from error


def _check_printable(line: int, row: dict[str, str]) -> None:
    """A line break or another control character in a field is damage, never a name."""
    for column, value in row.items():
        if any(unicodedata.category(letter) == "Cc" for letter in value):
            problem = f"has a control character in column {column}"
            raise _wrong(line, problem, "printable text", repr(value))


def _wrong(line: int, problem: str, expected: str, received: object) -> InvalidInputError:
    return InvalidInputError(
        f"{MANIFEST_CSV} line {line} {problem}", expected=expected, received=str(received)
    )
