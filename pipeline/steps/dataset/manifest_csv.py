"""`manifest.csv` at the root of an archive: label, group and cell of each file."""

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
class ManifestRow:
    """The row of a file; an empty value is taken from the folder name or the file-name pattern."""

    label: str = ""
    group: str = ""
    """Slide, patient or source cell."""
    cell: str = ""
    """Cell within its group; without a group, the cell is its own group."""


def read_manifest_csv(data: bytes, files: Collection[str]) -> dict[str, ManifestRow]:
    """Path to row, parsed strictly: a misspelt column would silently lose the groups.

    Args:
        data: CSV in UTF-8, with or without a byte order mark, any line endings, and the columns
            `file`, `label` and optionally `group` and `cell` in any order.
        files: paths inside the archive. A file without a row keeps its folder's label.

    Raises:
        InvalidInputError: with the line, the expected and the received text.
    """
    rows: dict[str, ManifestRow] = {}
    lines: dict[str, int] = {}
    for line, row in _rows(data):
        file = row["file"]
        if file not in files:
            raise _error(
                line, "names a file that is not in the archive", "a path in the archive", repr(file)
            )
        if file in rows:
            problem = f"repeats {file!r} of line {lines[file]}"
            raise _error(line, problem, "one row per file", "two rows")
        rows[file] = ManifestRow(*(row.get(name, "").strip() for name in ("label", *_OPTIONAL)))
        lines[file] = line
    return rows


def _rows(data: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and values by column of each row; InvalidInputError for a wrong one."""
    table = _table(data)
    header = next(table, (1, []))[1]
    columns = [name.strip() for name in header]
    allowed = {*_REQUIRED, *_OPTIONAL}
    fits = set(_REQUIRED) <= set(columns) <= allowed and len(set(columns)) == len(columns)
    if not fits:
        expected = f"columns {','.join(_REQUIRED)} and optionally {' and '.join(_OPTIONAL)}"
        raise _error(1, "is not the expected header", expected, repr(",".join(header)))
    for line, fields in table:
        if len(fields) != len(columns):
            expected = f"{len(columns)}, as in the header"
            raise _error(line, "has the wrong number of fields", expected, len(fields))
        row = dict(zip(columns, fields, strict=True))
        _check_printable(line, row)
        yield line, row


def _table(data: bytes) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line number and fields of each non-blank row; InvalidInputError for invalid CSV."""
    reader = csv.reader(io.StringIO(_decode_utf8(data), newline=""), strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise _error(line, "is not valid CSV", "fields separated by commas", error) from error


def _decode_utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{MANIFEST_CSV} cannot be read", expected="CSV in UTF-8", received=str(error)
        ) from error


def _check_printable(line: int, row: dict[str, str]) -> None:
    """Reject line breaks and other control characters: no name has them."""
    for column, value in row.items():
        if any(unicodedata.category(letter) == "Cc" for letter in value):
            problem = f"has a control character in column {column}"
            raise _error(line, problem, "printable text", repr(value))


def _error(line: int, problem: str, expected: str, received: object) -> InvalidInputError:
    return InvalidInputError(
        f"{MANIFEST_CSV} line {line} {problem}", expected=expected, received=str(received)
    )
