"""Rows of a CSV file as Excel, R and pandas write it: any separator, encoding and line end."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence

from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.member_names import CODE_PAGES

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MAX_LINE = 100_000
"""Characters of a line: a longer one is no row of a table."""
_MAX_SHOWN = 200
"""Characters of a received text that an error shows."""
_SEPARATOR_LINE = re.compile(r"\s*\"?sep=([,;\t])\"?[ ,;\t]*(\r\n|\r|\n)", re.IGNORECASE)
"""First line by which Excel is given the separator."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: str,
    data: bytes,
    is_header: Callable[[Sequence[str]], bool],
    is_known: Callable[[str], bool],
) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row that is not blank, the header first.

    Args:
        path: the file's path, for errors.
        data: the file's bytes.
        is_header: whether the fields of the first row are those of the header; the separator is
            the one that makes them so, else a comma.
        is_known: whether a text that is not ASCII occurs in the archive or is a class; decides
            the encoding of a table that is neither UTF-8 nor UTF-16.

    Raises:
        InvalidInputError: with the line, for invalid CSV.
    """
    text, separator, line = _decode(data, is_known), "", 1
    if named := _SEPARATOR_LINE.match(text):
        text, separator, line = text[named.end() :], named[1], 2
    _check_lines(path, text, line)
    if not separator:
        separator = next((one for one in SEPARATORS if is_header(_first_row(text, one))), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    first = line
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, fields
            line = first + reader.line_num
    except csv.Error as error:
        expected = f"fields separated by {SEPARATORS[separator]}"
        raise table_error(path, line, "is not valid CSV", expected, error) from error


def table_error(
    path: str, line: int, problem: str, expected: str, received: object
) -> InvalidInputError:
    """The error for one line of a table."""
    shown = str(received)
    if len(shown) > _MAX_SHOWN:
        shown = f"{shown[:_MAX_SHOWN]}..."
    return InvalidInputError(f"{path} line {line} {problem}", expected=expected, received=shown)


def _decode(data: bytes, is_known: Callable[[str], bool]) -> str:
    """The text of a table in UTF-8 or UTF-16, else in the code page with the most known names."""
    if data.startswith(_UTF_16) or b"\0" in data[:2]:
        little = data.startswith(_UTF_16[0]) or data[1:2] == b"\0"
        encoding = "utf-16-le" if little else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    text = _decoded(data, encoding)
    if text is not None:
        return text.removeprefix("\ufeff")
    best, n_best = "", -1
    for encoding in ("cp1252", *CODE_PAGES):
        text = _decoded(data, encoding)
        if text is not None and (n_known := _n_known(text, is_known)) > n_best:
            best, n_best = text, n_known
    return best


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _n_known(text: str, is_known: Callable[[str], bool]) -> int:
    fields = set(re.split(r"[,;\t\r\n]", text))
    names = (field.strip(' "') for field in fields if not field.isascii())
    return sum(is_known(name) for name in names)


def _check_lines(path: str, text: str, first: int) -> None:
    """Reject a very long line: its fields would need much more memory than the file."""
    lengths = list(map(len, re.split(r"\r\n|\r|\n", text)))
    longest = max(lengths)
    if longest > _MAX_LINE:
        expected = f"at most {_MAX_LINE} characters"
        raise table_error(
            path, first + lengths.index(longest), "is too long", expected, f"{longest} characters"
        )


def _first_row(text: str, separator: str) -> list[str]:
    """Fields of the first row that is not blank; empty without one, or if it is invalid."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return next((row for row in reader if any(map(str.strip, row))), [])
    except csv.Error:
        return []
