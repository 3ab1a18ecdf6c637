"""What a file that cannot be opened as a zip is, and how to pack it again."""

import struct
from pathlib import Path

from pipeline.contract.files.image_signatures import has_image_signature
from pipeline.errors import InvalidInputError

_SIGNATURES = (
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x1f\x8b", "a gzip file, such as .tar.gz"),
    (0, b"BZh", "a bzip2 file, such as .tar.bz2"),
    (0, b"\xfd7zXZ\0", "an xz file, such as .tar.xz"),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard file, such as .tar.zst"),
    (0, b"\x04\x22\x4d\x18", "an lz4 file"),
    (257, b"ustar", "a tar archive"),
    (0, b"MSCF", "a cabinet archive"),
    (0, b"!<arch>", "an ar archive"),
    (32769, b"CD001", "a disk image"),
    (0, b"MZ", "a program without a zip in it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"version https://git-lfs", "a pointer of Git LFS: the archive itself is stored elsewhere"),
)
"""Offset and bytes by which a format is known, and its name."""
_TEXT_STARTS = (
    (b"<!doctype html", "an HTML page: the download failed, or needs a log-in"),
    (b"<html", "an HTML page: the download failed, or needs a log-in"),
    (b"<?xml", "an XML document: the download failed"),
)
_HEAD_BYTES = 33_000
_LOCAL_HEADER, _END = b"PK\x03\x04", b"PK\x05\x06"
_SPLIT_MARKS = (b"PK\x07\x08", b"PK00PK\x03\x04")
"""First bytes of the first part of a split zip."""
_MAX_COMMENT = 65_535
_END_BYTES = 22
_MANY = 0xFFFF
"""The number of a disk whose true number is in a zip64 record."""
_REPACK = "pack the folders of the classes as one zip"


def not_a_zip(path: Path, error: Exception) -> InvalidInputError:
    """The error for a file that `zipfile` cannot open: names its format, if it is known."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    name = _format_name(head)
    if name:
        problem = f"{path.name} cannot be opened: it is {name}; {_REPACK}"
    elif head.startswith(_SPLIT_MARKS):
        problem = _split_problem(path)
    elif head.startswith(_LOCAL_HEADER):
        problem = f"{path.name} cannot be opened: it is incomplete or damaged; upload it again"
    else:
        problem = f"{path.name} cannot be opened"
    return InvalidInputError(problem, expected="a zip archive", received=name or str(error))


def check_not_split(path: Path) -> None:
    """Raise InvalidInputError for the last part of a zip that is split into several files."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _MAX_COMMENT - _END_BYTES, 0))
        tail = file.read()
    end = tail.rfind(_END)
    if end < 0 or len(tail) - end < _END_BYTES:
        return
    disk, directory_disk = struct.unpack_from("<HH", tail, end + 4)
    if {disk, directory_disk} - {0, _MANY}:
        raise InvalidInputError(
            _split_problem(path), expected="one file", received=f"part {disk + 1}"
        )


def _split_problem(path: Path) -> str:
    return (
        f"{path.name} cannot be opened: it is one part of a split zip (.z01, .z02, ..., .zip); "
        f"join the parts (zip -s 0 IN.zip --out OUT.zip, or unpack with 7-Zip) and {_REPACK}"
    )


def _format_name(head: bytes) -> str:
    """Name of a known format with its article; empty for any other."""
    if not head:
        return "an empty file"
    for offset, signature, name in _SIGNATURES:
        if head.startswith(signature, offset):
            return name
    start = head[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    text = next((name for mark, name in _TEXT_STARTS if start.startswith(mark)), "")
    return text or ("an image" if has_image_signature(head) else "")
