"""Names of a zip's entries, decoded as the programs that wrote them meant them.

A zip without the UTF-8 flag (APPNOTE 4.4.4, bit 11) does not say how its names are encoded:
macOS and Linux write UTF-8, Windows the code page of the country.
"""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.errors import InvalidInputError

IsClass = Callable[[str], bool]
"""Whether the name of a folder is a class."""
_UTF_8_FLAG = 0x800
_UNICODE_PATH = 0x7075
"""Extra field of Info-ZIP: version, CRC-32 of the entry's name, and the name in UTF-8."""
CODE_PAGES = (
    *("cp437", "cp850", "cp1252", "gbk", "cp932", "cp949", "big5", "cp852", "cp1250"),
    *("cp866", "cp1251", "cp737", "cp1253", "cp857", "cp1254"),
)
"""Encodings of names without the flag, in the order in which they are tried."""
_DOUBLE_BYTE = ("gbk", "cp932", "cp949", "big5")
_BACKSLASH_SYSTEMS = (0, 10, 11, 14)
"""`create_system` of Windows, on which no file name has a backslash."""


@dataclass(frozen=True)
class _Names:
    """The names of all entries in one encoding."""

    encoding: str
    names: tuple[str, ...]


def member_names(entries: Sequence[zipfile.ZipInfo], is_class: IsClass) -> list[tuple[str, ...]]:
    """For each entry its path with `/` as separator, then the paths in other encodings.

    An entry whose encoding is known has one path. The encoding of the others is the same for all:
    UTF-8 if all are valid UTF-8, else the one in which a folder is a class, else the first in which
    every letter is one. The paths are not checked.

    Raises:
        InvalidInputError: if two encodings give a folder two classes, or an entry has two names.
    """
    certain = [_certain_name(entry) for entry in entries]
    unsure = [entry for entry, name in zip(entries, certain, strict=True) if name is None]
    candidates = _candidates([_raw(entry) for entry in unsure])
    chosen = _chosen(candidates, is_class)
    others = [one for one in candidates if one is not chosen]
    guesses = (
        (chosen.names[index], *(one.names[index] for one in others)) for index in range(len(unsure))
    )
    every = [(name,) if name is not None else next(guesses) for name in certain]
    return [
        tuple(dict.fromkeys(_separated(name, entry) for name in names))
        for names, entry in zip(every, entries, strict=True)
    ]


def _raw(entry: zipfile.ZipInfo) -> bytes:
    """The bytes of an entry's name; `zipfile` decodes names without the flag as cp437."""
    return entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF_8_FLAG else "cp437")


def _certain_name(entry: zipfile.ZipInfo) -> str | None:
    """The name if the entry says how it is encoded, or it is ASCII; None if it does not."""
    raw = _raw(entry)
    unicode_path = _unicode_path(entry.extra, zlib.crc32(raw))
    if unicode_path is not None:
        # An ASCII name is the same in every encoding. Programs replace letters by these three.
        if raw.isascii() and not {*raw} & {*b"?_#"} and raw.decode() != unicode_path:
            raise InvalidInputError(
                f"the archive is rejected: {raw.decode()!r} has a second name: pack it again",
                expected="one name",
                received=repr(unicode_path),
            )
        return unicode_path
    if entry.flag_bits & _UTF_8_FLAG or raw.isascii():
        return entry.orig_filename
    return None


def _unicode_path(extra: bytes, name_crc: int) -> str | None:
    """The name in the extra field of Info-ZIP; None if it is not there, damaged, or outdated."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        data, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and len(data) > 5 and data[0] == 1:
            (crc,) = struct.unpack_from("<I", data, 1)
            try:
                return data[5:].decode() if crc == name_crc else None
            except UnicodeDecodeError:
                return None
    return None


def _candidates(raws: Sequence[bytes]) -> list[_Names]:
    """All readings of some names; UTF-8 alone if they are valid in it."""
    found: list[_Names] = []
    for encoding in ("utf-8", *CODE_PAGES):
        try:
            names = tuple(raw.decode(encoding) for raw in raws)
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8":
            return [_Names(encoding, names)]
        if all(names != other.names for other in found):
            found.append(_Names(encoding, names))
    return found


def _chosen(candidates: Sequence[_Names], is_class: IsClass) -> _Names:
    """The reading with the most class folders; without any, the first plausible one."""
    classes = [_classes(one.names, is_class) for one in candidates]
    for index in range(len(candidates[0].names)):
        named = {found[index] for found in classes} - {""}
        if len(named) > 1:
            raise InvalidInputError(
                f"the archive is rejected: {candidates[0].names[index]!r} is in the folder of "
                f"{' or '.join(sorted(map(repr, named)))}, depending on the encoding of its name: "
                "pack it again",
                expected="names in UTF-8",
                received=" or ".join(one.encoding for one in candidates),
            )
    counts = [sum(map(bool, found)) for found in classes]
    if max(counts, default=0):
        return candidates[counts.index(max(counts))]
    return next((one for one in candidates if _is_plausible(one)), candidates[0])


def _classes(names: Iterable[str], is_class: IsClass) -> list[str]:
    """For each name the nearest class folder that is not ASCII; empty without one."""
    return [
        next((f for f in reversed(_folders(name)) if not f.isascii() and is_class(f)), "")
        for name in names
    ]


def _folders(name: str) -> list[str]:
    return name.replace("\\", "/").split("/")[:-1]


def _is_plausible(reading: _Names) -> bool:
    """Whether every letter outside ASCII is one, and a name has one kind of separator.

    The second byte of a letter may be that of a backslash.
    """
    if any("/" in name and "\\" in name for name in reading.names):
        return False
    letters = [c for name in reading.names for c in name if not c.isascii()]
    if not all(unicodedata.category(c)[0] in "LM" for c in letters):
        return False
    wide = [c for c in letters if unicodedata.east_asian_width(c) == "W"]
    if reading.encoding in _DOUBLE_BYTE:
        return len(wide) == len(letters)
    # `ÖÐ` in cp1252 is one letter in a double-byte encoding: no word has such a second capital.
    return not any(
        b.isupper() and not (a.isascii() or b.isascii())
        for name in reading.names
        for a, b in pairwise(name)
    )


def _separated(name: str, entry: zipfile.ZipInfo) -> str:
    """The name with `/` for a backslash that can only be a separator, and without a first `./`."""
    if "\\" in name and ("/" not in name or entry.create_system in _BACKSLASH_SYSTEMS):
        name = name.replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return "" if name == "." else name
