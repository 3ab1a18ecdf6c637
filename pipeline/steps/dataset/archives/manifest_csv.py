"""`manifest.csv` of an archive: label, group and cell of each file."""

import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.csv_table import SEPARATORS, read_table, table_error
from pipeline.steps.dataset.archives.manifest_paths import ArchivePaths

MANIFEST_CSV = "manifest.csv"
_REQUIRED = ("file", "label")
_OPTIONAL = ("group", "cell")
_ROW_NUMBERS = ("", "unnamed: 0")
"""Header of the first column in a table of R or pandas: the number of each row."""


@dataclass(frozen=True)
class ManifestRow:
    """The row of a file; an empty value is taken from the folder name or the file-name pattern."""

    label: str = ""
    group: str = ""
    """Slide, patient or source cell."""
    cell: str = ""
    """Cell within its group; without a group, the cell is its own group."""


def read_manifest_csv(
    data: bytes,
    files: Collection[str],
    *,
    path: str = MANIFEST_CSV,
    aliases: Mapping[str, str] | None = None,
    is_class: Callable[[str], bool] = lambda _: False,
) -> dict[str, ManifestRow]:
    """Path to row, parsed strictly: a misspelt column would silently lose the groups.

    Args:
        data: CSV with commas, semicolons or tabs, in UTF-8, UTF-16 or a code page, any line
            endings, and the columns `file`, `label` and optionally `group` and `cell` in any order.
            A first column of row numbers, as R writes it, and empty columns are not read.
        files: paths inside the archive. A file without a row keeps its folder's label.
        path: of the table inside the archive. Its paths start at its folder or at the root.
        aliases: other readings of a path inside the archive to the path.
        is_class: whether a text is the name of a class.

    Raises:
        InvalidInputError: with the line, the expected and the received text.
    """
    folder = str(PurePosixPath(path).parent).removeprefix(".")
    paths = ArchivePaths(files, folder, aliases)
    rows: dict[str, ManifestRow] = {}
    lines: dict[str, int] = {}
    table = read_table(
        path, data, _is_header, lambda text: is_class(text) or bool(paths.find(text))
    )
    for line, row in _rows(path, table):
        file = _file(path, line, row["file"], paths)
        if file in rows:
            problem = f"repeats {file!r} of line {lines[file]}"
            raise table_error(path, line, problem, "one row per file", "two rows")
        rows[file] = ManifestRow(*(row.get(name, "").strip() for name in ("label", *_OPTIONAL)))
        lines[file] = line
    return rows


def _file(path: str, line: int, text: str, paths: ArchivePaths) -> str:
    """The one file that a row means; InvalidInputError if there is none, or several."""
    found = paths.find(text)
    if len(found) == 1:
        return found[0]
    if found:
        problem, expected = "names more than one file", f"one of {' and '.join(map(repr, found))}"
    else:
        nearest = paths.nearest(text)
        problem = "names a file that is not in the archive"
        expected = "a path in the archive" + (f", such as {nearest!r}" if nearest else "")
    raise table_error(path, line, problem, expected, repr(text))


def _columns(header: Sequence[str]) -> list[str]:
    """Names of the columns; empty for those that are not read."""
    names = [name.strip(" \ufeff\xa0").casefold() for name in header]
    if names and names[0] in _ROW_NUMBERS:
        names[0] = ""
    return names


def _is_header(header: Sequence[str]) -> bool:
    named = [name for name in _columns(header) if name]
    allowed = {*_REQUIRED, *_OPTIONAL}
    return set(_REQUIRED) <= set(named) <= allowed and len(set(named)) == len(named)


def _rows(
    path: str, table: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and values by column of each row; InvalidInputError for a wrong one."""
    line, header = next(table, (1, []))
    if not _is_header(header):
        separators = ", ".join(SEPARATORS.values())
        expected = (
            f"columns {','.join(_REQUIRED)} and optionally {' and '.join(_OPTIONAL)}, "
            f"separated by {separators}"
        )
        received = repr(",".join(header))
        raise table_error(path, line, "is not the expected header", expected, received)
    columns = _columns(header)
    for line, fields in table:
        row = _row(path, line, columns, fields)
        _check_printable(path, line, row)
        yield line, row


def _row(path: str, line: int, columns: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """Values by column; InvalidInputError for a field too many or too few.

    Spreadsheets write empty fields at the end of a row, or leave them out. R numbers the rows
    without naming that column.
    """
    named = [name for name in columns if name]
    if len(fields) == len(columns) + 1 and columns[0] and fields[0].strip().isdecimal():
        fields = fields[1:]
    while len(fields) > len(columns) and not fields[-1].strip():
        fields = fields[:-1]
    missing = columns[len(fields) :]
    if len(fields) > len(columns) or set(missing) - {*_OPTIONAL, ""}:
        expected = f"{len(columns)}, as in the header"
        raise table_error(path, line, "has the wrong number of fields", expected, len(fields))
    for number, (name, value) in enumerate(zip(columns, fields, strict=False), 1):
        if not name and number > 1 and value.strip():
            problem = f"has a value in column {number}, which has no name"
            raise table_error(path, line, problem, f"columns {','.join(named)}", repr(value))
    padded = [*fields, *("" for _ in missing)]
    return {name: value for name, value in zip(columns, padded, strict=True) if name}


def _check_printable(path: str, line: int, row: dict[str, str]) -> None:
    """Reject line breaks and other control characters: no name has them."""
    for column, value in row.items():
        if any(unicodedata.category(letter) == "Cc" for letter in value):
            problem = f"has a control character in column {column}"
            raise table_error(path, line, problem, "printable text", repr(value))


def find_manifest(files: Collection[str]) -> str | None:
    """Path of the archive's `manifest.csv`, at any depth and in any letter case; None without one.

    Raises:
        InvalidInputError: with the paths, when there are several.
    """
    found = sorted(f for f in files if PurePosixPath(f).name.casefold() == MANIFEST_CSV)
    if len(found) > 1:
        raise InvalidInputError(
            f"the archive has {len(found)} tables named {MANIFEST_CSV}: remove all but one, or "
            "exclude the others by ingest.exclude",
            expected="one",
            received=", ".join(map(repr, found)),
        )
    return found[0] if found else None
