"""Safety checks of an uploaded zip, before any of it is extracted; a bad archive is rejected whole.

`zipfile` of Python 3.11 rewrites unsafe names silently and accepts entries that share bytes. All
rules are therefore checked here, on the central directory.
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

from pipeline.config.archive_limits import IngestConfig
from pipeline.errors import InvalidInputError

_DIRECTORY_BYTES_PER_MEMBER = 512
"""Limit per entry of the central directory: 46 bytes, the name and extra fields."""
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flag bits 0, 6 and 13 of APPNOTE 4.4.4: encryption, strong encryption, masked headers."""
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
_ARCHIVES = frozenset(
    ".zip .jar .tar .gz .tgz .bz2 .tbz2 .xz .txz .zst .7z .rar .cab .iso .lz4 .lzma .z".split()
)


@contextmanager
def open_archive(path: Path, config: IngestConfig) -> Iterator[zipfile.ZipFile]:
    """Open a zip; InvalidInputError if it is none, or exceeds a limit on size or entries."""
    size = path.stat().st_size
    if size > config.max_archive_bytes:
        raise InvalidInputError(
            f"{path.name} is too large",
            expected=f"at most {config.max_archive_bytes} bytes",
            received=f"{size} bytes",
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
    """Reject an unsafe archive; return its files of any type, sorted by name.

    Folders are checked, too, but not returned.

    Raises:
        InvalidInputError: with the first entry that breaks a rule, and the rule.
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
    _check_no_overlap(members, archive.start_dir)
    files = [member for member in members if not member.is_dir()]
    return sorted(files, key=lambda member: member.filename)


class _BoundedFile(io.FileIO):
    """A file whose `read` returns at most `largest` bytes, or raises InvalidInputError.

    `zipfile` reads the whole central directory in one call, whatever size its header declares.
    """

    def __init__(self, path: Path, largest: int) -> None:
        super().__init__(path)
        self._size = path.stat().st_size
        self._largest = max(largest, 1 << 20)

    def read(self, size: int | None = -1, /) -> bytes:
        remaining = max(self._size - self.tell(), 0)
        requested = remaining if size is None or size < 0 else min(size, remaining)
        if requested > self._largest:
            raise InvalidInputError(
                "the archive's central directory is too large",
                expected=f"at most {self._largest} bytes",
                received=f"{requested} bytes",
            )
        return super().read(requested)


def _reject(
    member: zipfile.ZipInfo, rule: str, *, expected: str = "", received: str = ""
) -> NoReturn:
    raise InvalidInputError(
        f"the archive is rejected: {member.orig_filename!r} {rule}",
        expected=expected,
        received=received,
    )


def _check_name(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if not name or any(unicodedata.category(letter) == "Cc" for letter in name):
        _reject(member, "has an empty name or a control character in its name")
    if name.startswith("/"):
        _reject(member, "has an absolute path")
    if re.match(r"[A-Za-z]:", name):
        _reject(member, "starts with a drive letter")
    if "\\" in name:
        _reject(member, "has a backslash in its path")
    if ".." in parts:
        _reject(member, "leaves the archive with '..' in its path")
    if "." in parts or "" in parts:
        _reject(member, "has an empty part or '.' in its path")


def _check_kind(member: zipfile.ZipInfo) -> None:
    mode = stat.S_IFMT(member.external_attr >> 16)
    if mode == stat.S_IFLNK:
        _reject(member, "is a link")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        _reject(member, "is neither a file nor a folder")
    if member.flag_bits & _ENCRYPTED:
        _reject(member, "is encrypted")
    if member.compress_type not in _METHODS:
        allowed = " or ".join(_METHODS.values())
        _reject(member, "uses an unsupported compression method", expected=allowed)
    if not member.is_dir() and PurePosixPath(member.filename).suffix.lower() in _ARCHIVES:
        _reject(member, "is an archive inside the archive")


def _check_size(member: zipfile.ZipInfo, config: IngestConfig) -> None:
    size = member.file_size
    if member.is_dir() and size > 0:
        _reject(member, "is a folder entry with content", expected="0 bytes", received=str(size))
    if size > config.max_member_bytes:
        limit = f"at most {config.max_member_bytes} bytes"
        _reject(member, "is too large", expected=limit, received=f"{size} bytes")
    if size > config.max_ratio * max(member.compress_size, 1):
        _reject(
            member,
            "has too high a compression ratio",
            expected=f"at most {config.max_ratio:g} times its compressed size",
            received=f"{size} from {member.compress_size} bytes",
        )


def _check_total(members: Sequence[zipfile.ZipInfo], config: IngestConfig) -> None:
    total = sum(member.file_size for member in members)
    if total > config.max_total_bytes:
        raise InvalidInputError(
            "the uncompressed archive is too large",
            expected=f"at most {config.max_total_bytes} bytes",
            received=f"{total} bytes",
        )


def _check_distinct(members: Sequence[zipfile.ZipInfo]) -> None:
    """Reject two entries with one path on any file system, and a file that is also a folder."""
    seen: dict[str, str] = {}
    files = {_folded(member.filename) for member in members if not member.is_dir()}
    for member in members:
        name, folded = member.filename.removesuffix("/"), _folded(member.filename)
        if seen.get(folded) == name:
            _reject(member, "is in the archive twice")
        if folded in seen:
            _reject(member, f"differs from {seen[folded]!r} only in case or encoding")
        if any(str(folder) in files for folder in PurePosixPath(folded).parents):
            _reject(member, "lies in a folder that is also a file")
        seen[folded] = name


def _folded(name: str) -> str:
    """The name on a file system that ignores case and normalises Unicode."""
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()


def _check_no_overlap(members: Sequence[zipfile.ZipInfo], directory: int) -> None:
    """Reject entries that share bytes with another entry or with the central directory.

    Overlapping entries make zip bombs with a modest compression ratio (D. Fifield, "A better zip
    bomb", WOOT 2019).
    """
    ordered = sorted(members, key=lambda member: member.header_offset)
    starts = [member.header_offset for member in ordered[1:]] + [directory]
    for member, next_start in zip(ordered, starts, strict=False):
        name = len(member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437"))
        end = member.header_offset + _LOCAL_HEADER_BYTES + name + member.compress_size
        if member.header_offset < 0 or end > next_start:
            _reject(member, "shares bytes with another entry")
