"""What an uploaded archive must be before a byte of it is written: refused, never sanitised.

`zipfile` of Python 3.11 rewrites bad names silently and does not notice entries that share bytes,
so every rule is checked here, on the central directory alone.
"""

import io
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NoReturn

from pipeline.config import IngestConfig
from pipeline.errors import InvalidInputError

_DIRECTORY_BYTES_PER_MEMBER = 512
"""Room for one entry of the central directory: 46 bytes, the name, and what tools add."""
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flag bits 0, 6 and 13 of APPNOTE 4.4.4: encryption, strong encryption, masked headers."""
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ARCHIVES = frozenset(
    ".zip .jar .tar .gz .tgz .bz2 .tbz2 .xz .txz .zst .7z .rar .cab .iso .lz4 .lzma .z".split()
)
_NOISE_FOLDERS = frozenset({"__MACOSX"})
_NOISE_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


@contextmanager
def open_archive(path: Path, config: IngestConfig) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose central directory is small enough to read.

    Raises:
        InvalidInputError: when the file is no zip, or larger than the limits allow.
    """
    size = path.stat().st_size
    if size > config.max_archive_bytes:
        raise InvalidInputError(
            f"{path.name} is too large",
            expected=f"at most {config.max_archive_bytes} bytes",
            received=f"{size}",
        )
    largest = (config.max_members + 1) * _DIRECTORY_BYTES_PER_MEMBER
    with _BoundedFile(path, largest) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise InvalidInputError(
                f"{path.name} cannot be opened", expected="a zip archive", received=str(error)
            ) from error
        with archive:
            yield archive


def check_members(archive: zipfile.ZipFile, config: IngestConfig) -> list[zipfile.ZipInfo]:
    """The files to read, in order of name; folders and what desktops leave behind are passed over.

    The rules hold for every entry, also for those that are passed over afterwards.

    Raises:
        InvalidInputError: names the first entry that breaks a rule, and the rule.
    """
    members = archive.infolist()
    if len(members) > config.max_members:
        raise InvalidInputError(
            "the archive has too many entries",
            expected=f"at most {config.max_members}",
            received=str(len(members)),
        )
    for member in members:
        _check_name(member)
        _check_kind(member)
        _check_size(member, config)
    _check_total(members, config)
    _check_distinct(members)
    _check_apart(members, archive.start_dir)
    files = [member for member in members if not member.is_dir() and not _is_noise(member)]
    return sorted(files, key=lambda member: member.filename)


class _BoundedFile(io.FileIO):
    """A file that hands out at most `largest` bytes at once.

    `zipfile` reads the whole central directory in one call, however long it claims to be.
    """

    def __init__(self, path: Path, largest: int) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._largest = max(largest, 1 << 20)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(self._size - self.tell(), 0)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > self._largest:
            raise InvalidInputError(
                "the archive's directory is too large",
                expected=f"at most {self._largest} bytes",
                received=f"{wanted}",
            )
        return super().read(wanted)


def _refuse(
    member: zipfile.ZipInfo, rule: str, *, expected: str = "", received: str = ""
) -> NoReturn:
    raise InvalidInputError(
        f"the archive is refused: {member.orig_filename!r} {rule}",
        expected=expected,
        received=received,
    )


def _check_name(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if not name or any(unicodedata.category(letter) == "Cc" for letter in name):
        _refuse(member, "has an empty name or control characters in it")
    if name.startswith("/"):
        _refuse(member, "has an absolute path")
    if re.match(r"[A-Za-z]:", name):
        _refuse(member, "starts with a drive letter")
    if "\\" in name:
        _refuse(member, "has a backslash in its path")
    if ".." in parts:
        _refuse(member, "climbs out of the archive with '..'")
    if "." in parts or "" in parts:
        _refuse(member, "has an empty part or '.' in its path")


def _check_kind(member: zipfile.ZipInfo) -> None:
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode == stat.S_IFLNK:
        _refuse(member, "is a link")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse(member, "is neither a file nor a folder")
    if member.flag_bits & _ENCRYPTED:
        _refuse(member, "is encrypted")
    if member.compress_type not in _METHODS:
        allowed = " or ".join(_METHODS.values())
        _refuse(member, "is compressed in a way that is not read here", expected=allowed)
    if not member.is_dir() and PurePosixPath(member.filename).suffix.lower() in _ARCHIVES:
        _refuse(member, "is an archive inside the archive")


def _check_size(member: zipfile.ZipInfo, config: IngestConfig) -> None:
    size = member.file_size
    if member.is_dir() and size > 0:
        _refuse(member, "is a folder with content", expected="0 bytes", received=str(size))
    if size > config.max_member_bytes:
        limit = f"at most {config.max_member_bytes} bytes"
        _refuse(member, "is too large", expected=limit, received=str(size))
    if size > config.max_ratio * max(member.compress_size, 1):
        _refuse(
            member,
            "unpacks to suspiciously much",
            expected=f"at most {config.max_ratio:g} times its compressed size",
            received=f"{size} from {member.compress_size} bytes",
        )


def _check_total(members: Sequence[zipfile.ZipInfo], config: IngestConfig) -> None:
    total = sum(member.file_size for member in members)
    if total > config.max_total_bytes:
        raise InvalidInputError(
            "the archive unpacks to too much",
            expected=f"at most {config.max_total_bytes} bytes",
            received=str(total),
        )


def _check_distinct(members: Sequence[zipfile.ZipInfo]) -> None:
    """No two entries may land on one path, on any file system, nor a file be a folder too."""
    seen: dict[str, str] = {}
    files = {_folded(member.filename) for member in members if not member.is_dir()}
    for member in members:
        name, folded = member.filename.removesuffix("/"), _folded(member.filename)
        if seen.get(folded) == name:
            _refuse(member, "stands in the archive twice")
        if folded in seen:
            _refuse(member, f"differs from {seen[folded]!r} only in case or encoding")
        if any(str(folder) in files for folder in PurePosixPath(folded).parents):
            _refuse(member, "lies in a folder that is also a file")
        seen[folded] = name


def _folded(name: str) -> str:
    """What a file system that ignores case, or normalises Unicode, makes of a name."""
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()


def _check_apart(members: Sequence[zipfile.ZipInfo], directory: int) -> None:
    """No two entries may share bytes, nor reach into the central directory.

    Overlap is how a small file unpacks to petabytes at a modest ratio (D. Fifield, "A better zip
    bomb", WOOT 2019).
    """
    ordered = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in ordered[1:]] + [directory]
    for member, following in zip(ordered, starts, strict=False):
        name = len(member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437"))
        end = member.header_offset + _LOCAL_HEADER_BYTES + name + member.compress_size
        if member.header_offset < 0 or end > following:
            _refuse(member, "shares bytes with another entry")


def _is_noise(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    return bool(_NOISE_FOLDERS & set(path.parts)) or path.name in _NOISE_FILES
