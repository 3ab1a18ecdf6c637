"""Safety checks of an uploaded zip, before any of it is extracted; a bad archive is rejected whole.

`zipfile` of Python 3.11 rewrites unsafe names silently and accepts entries that share bytes. All
rules are therefore checked here, on the central directory.
"""

import re
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NoReturn

from pipeline.config.archive_limits import IngestConfig
from pipeline.contract.files.file_policy import LeftOut, left_out_by_path
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.member_names import member_names

_LOCAL_HEADER_BYTES = 30
_ENCRYPTED = 0x1 | 0x40 | 0x2000
"""Flag bits 0, 6 and 13 of APPNOTE 4.4.4: encryption, strong encryption, masked headers."""
_DOS_FOLDER = 0x10
"""Bit of the external attributes of a folder in a zip of Windows."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OTHER_METHODS = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "XZ",
    97: "WavPack",
    98: "PPMd",
    99: "AES encryption",
}
_ARCHIVES = frozenset(
    ".zip .jar .tar .gz .tgz .bz2 .tbz2 .xz .txz .zst .7z .rar .cab .iso .lz4 .lzma .z".split()
)
_ICON = "Icon\r"
"""The one name with a control character that a program writes: the icon of a folder, in macOS."""


@dataclass(frozen=True)
class Member:
    """A checked file of an archive."""

    name: str
    """Path inside the archive, with `/` between its names."""
    entry: zipfile.ZipInfo
    left_out: LeftOut | None
    """Why the name says that the file is no image."""
    other_names: tuple[str, ...] = ()
    """The path in other encodings, if the archive does not say which one it uses."""


def check_members(
    archive: zipfile.ZipFile,
    config: IngestConfig,
    is_class: Callable[[str], bool] = lambda _: False,
) -> list[Member]:
    """Reject an unsafe archive; return its files of any type, sorted by name.

    Folders are checked, too, but not returned.

    Args:
        archive: an open zip.
        config: its limits.
        is_class: whether the name of a folder is a class.

    Raises:
        InvalidInputError: with the first entry that breaks a rule, and the rule.
    """
    entries = archive.infolist()
    if len(entries) > config.max_members:
        raise InvalidInputError(
            "the archive has too many entries",
            expected=f"at most {config.max_members}",
            received=str(len(entries)),
        )
    is_class = lru_cache(is_class)
    members = []
    for entry, (name, *others) in zip(entries, member_names(entries, is_class), strict=True):
        left_out = left_out_by_path(name, is_class)
        member = Member(name, entry, left_out, tuple(others))
        _check_name(member)
        _check_kind(member)
        _check_size(member, config)
        members.append(member)
    _check_total(entries, config)
    _check_distinct(members)
    _check_no_overlap(members, archive.start_dir)
    return sorted((one for one in members if not _is_folder(one)), key=lambda one: one.name)


def _reject(member: Member, rule: str, *, expected: str = "", received: str = "") -> NoReturn:
    raise InvalidInputError(
        f"the archive is rejected: {member.name!r} {rule}", expected=expected, received=received
    )


def _is_folder(member: Member) -> bool:
    """Whether an entry is a folder: by its name, or by its attributes if it has no content."""
    attributes = member.entry.external_attr
    is_marked = attributes & _DOS_FOLDER or stat.S_ISDIR(attributes >> 16)
    return (
        member.name.endswith("/")
        or not member.name
        or bool(is_marked and not member.entry.file_size)
    )


def _check_name(member: Member) -> None:
    if not member.name and _is_folder(member) and member.entry.orig_filename:
        return  # the archive's root, as `./`
    name = member.name
    parts = name.removesuffix("/").split("/")
    if not name or any(map(_has_control_character, parts)):
        _reject(member, "has an empty name or a control character in its name")
    if name.startswith("/"):
        _reject(member, "has an absolute path")
    if re.match(r"[A-Za-z]:", name):
        _reject(member, "starts with a drive letter")
    if "\\" in name:
        expected = "`/` between folders: pack the archive again"
        _reject(member, "has a backslash in its path", expected=expected)
    if ".." in parts:
        _reject(member, "leaves the archive with '..' in its path")
    if "." in parts or "" in parts:
        _reject(member, "has an empty part or '.' in its path")


def _has_control_character(part: str) -> bool:
    return part != _ICON and any(unicodedata.category(letter) == "Cc" for letter in part)


def _check_kind(member: Member) -> None:
    mode = stat.S_IFMT(member.entry.external_attr >> 16)
    if mode == stat.S_IFLNK:
        _reject(member, "is a link")
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        _reject(member, "is neither a file nor a folder")
    if member.entry.flag_bits & _ENCRYPTED:
        _reject(member, "is encrypted", expected="a zip without a password: pack it again")
    method = member.entry.compress_type
    if method not in _METHODS:
        name = _OTHER_METHODS.get(method, f"method {method}")
        _reject(
            member,
            "uses an unsupported compression method",
            expected="stored or deflated: pack the archive again, in 7-Zip with method Deflate",
            received=name,
        )
    is_ignored = member.left_out is not None and member.left_out.kind == "ignored"
    if PurePosixPath(member.name).suffix.lower() in _ARCHIVES and not (
        is_ignored or _is_folder(member)
    ):
        expected = "one zip without archives in it: unpack this one, and pack all folders again"
        _reject(member, "is an archive inside the archive", expected=expected)


def _check_size(member: Member, config: IngestConfig) -> None:
    size, compressed = member.entry.file_size, member.entry.compress_size
    if _is_folder(member) and size > 0:
        _reject(member, "is a folder entry with content", expected="0 bytes", received=str(size))
    if size > config.max_member_bytes:
        limit = f"at most {config.max_member_bytes} bytes"
        _reject(member, "is too large", expected=limit, received=f"{size} bytes")
    # A blank image is compressed a thousandfold, and harmless while it is small.
    if size > config.ratio_from_bytes and size > config.max_ratio * max(compressed, 1):
        _reject(
            member,
            "has too high a compression ratio",
            expected=f"at most {config.max_ratio:g} times its compressed size",
            received=f"{size} from {compressed} bytes",
        )


def _check_total(entries: Sequence[zipfile.ZipInfo], config: IngestConfig) -> None:
    total = sum(entry.file_size for entry in entries)
    if total > config.max_total_bytes:
        raise InvalidInputError(
            "the uncompressed archive is too large",
            expected=f"at most {config.max_total_bytes} bytes",
            received=f"{total} bytes",
        )


def _check_distinct(members: Sequence[Member]) -> None:
    """Reject two files with one path on any file system, and a file that is also a folder.

    Files that are left out by name are not compared: nothing reads them.
    """
    files = [one for one in members if not _is_folder(one) and one.left_out is None]
    paths = {_folded(one.name) for one in files}
    seen: dict[str, str] = {}
    for member in members:
        folded = _folded(member.name)
        if any(str(folder) in paths for folder in PurePosixPath(folded).parents):
            _reject(member, "lies in a folder that is also a file")
        if _is_folder(member) and folded in paths:
            _reject(member, "is a folder that is also a file")
    for member in files:
        name, folded = member.name, _folded(member.name)
        if seen.get(folded) == name:
            _reject(member, "is in the archive twice")
        if folded in seen:
            _reject(member, f"differs from {seen[folded]!r} only in case or encoding")
        seen[folded] = name


def _folded(name: str) -> str:
    """The name on a file system that ignores case and normalises Unicode."""
    return unicodedata.normalize("NFC", name.removesuffix("/")).casefold()


def _check_no_overlap(members: Sequence[Member], directory: int) -> None:
    """Reject entries that share bytes with another entry or with the central directory.

    Overlapping entries make zip bombs with a modest compression ratio (D. Fifield, "A better zip
    bomb", WOOT 2019).
    """
    ordered = sorted(members, key=lambda member: member.entry.header_offset)
    starts = [member.entry.header_offset for member in ordered[1:]] + [directory]
    for member, next_start in zip(ordered, starts, strict=False):
        entry = member.entry
        name = len(entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437"))
        end = entry.header_offset + _LOCAL_HEADER_BYTES + name + entry.compress_size
        if entry.header_offset < 0 or end > next_start:
            _reject(member, "shares bytes with another entry")
