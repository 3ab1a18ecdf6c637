"""Zips as Finder, Windows, 7-Zip, R, cameras and network shares write them."""

import struct
from pathlib import Path

import pytest

from pipeline.config.archive_limits import IngestConfig
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.archive_check import Member, check_members
from pipeline.steps.dataset.archives.archive_file import open_archive
from tests.unit.steps.dataset.archives.zip_writer import (
    DATA_DESCRIPTOR,
    MS_DOS,
    UNIX,
    UTF_8,
    Entry,
    unicode_path,
    zip_bytes,
)

CLASSES = ("NEUTROPHIL", "Linfócito", "Éosinophile", "中性粒细胞", "好中球", "лимфоцит")
FOLDER_ATTRIBUTE = 0x10
ONE_IMAGE = zip_bytes([Entry(b"a/1", b"x" * 99)])
LAST_PART = zip_bytes([Entry(b"a/1", b"x" * 99)], disk=2)


def members_of(content: bytes, folder: Path, config: IngestConfig | None = None) -> list[Member]:
    path = folder / "cells.zip"
    path.write_bytes(content)
    limits = config or IngestConfig()
    with open_archive(path, limits) as archive:
        return check_members(archive, limits, lambda name: name in CLASSES)


def names_of(entries: list[Entry], folder: Path) -> list[str]:
    return [one.name for one in members_of(zip_bytes(entries), folder)]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([Entry(b"NEUTROPHIL\\1.jpg", b"x"), Entry(b"NEUTROPHIL\\")], ["NEUTROPHIL/1.jpg"]),
        ([Entry(b"NEUTROPHIL\\1.jpg", b"x", system=UNIX)], ["NEUTROPHIL/1.jpg"]),
        ([Entry(b"a/b\\1.jpg", b"x", system=MS_DOS)], ["a/b/1.jpg"]),
        ([Entry(b"./"), Entry(b"./a/1.jpg", b"x", system=UNIX)], ["a/1.jpg"]),
        ([Entry(b".\\a\\1.jpg", b"x")], ["a/1.jpg"]),
        ([Entry(b"a/"), Entry(b"a/"), Entry(b"a/1.jpg", b"x")], ["a/1.jpg"]),
        ([Entry(b"a", attributes=FOLDER_ATTRIBUTE), Entry(b"a/1.jpg", b"x")], ["a/1.jpg"]),
        ([Entry(b"a/Icon\r", b"", system=UNIX), Entry(b"a/1", b"x")], ["a/1", "a/Icon\r"]),
        ([Entry(b"a/1", b"x" * 99, flags=DATA_DESCRIPTOR, method=8)], ["a/1"]),
        ([Entry(b"README.md", b"x"), Entry(b"readme.md", b"x")], ["README.md", "readme.md"]),
        ([Entry(b".git/a.zip", b"x"), Entry(b"__MACOSX/._b.zip", b"x")], None),
    ],
    ids=[
        *("PowerShell", "backslashes from Unix", "mixed on Windows", "dot prefix", "dot backslash"),
        *("folder entries", "folder attribute", "icon of a Mac", "data descriptor", "two texts"),
        "archives among metadata",
    ],
)
def test_what_can_be_read_one_way_only_is_read_so(
    entries: list[Entry], expected: list[str] | None, tmp_path: Path
) -> None:
    """Separators, prefixes and folder entries of other programs."""
    assert names_of(entries, tmp_path) == (expected or sorted(e.name.decode() for e in entries))


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("NEUTROPHIL/é 1.jpg", "utf-8"),
        ("Linfócito/1.jpg", "utf-8"),
        ("Linfócito/1.jpg", "cp437"),
        ("Linfócito/1.jpg", "cp850"),
        ("Linfócito/1.jpg", "cp1252"),
        ("Éosinophile/Ü1.jpg", "cp850"),
        ("Éosinophile/Ü1.jpg", "cp1252"),
        ("中性粒细胞/1.jpg", "gbk"),
        ("中性粒细胞/1.jpg", "utf-8"),
        ("好中球/表1.jpg", "cp932"),
        ("лимфоцит/1.jpg", "cp866"),
        ("лимфоцит/1.jpg", "cp1251"),
        ("Müller/NEUTROPHIL/Größe.jpg", "cp1252"),
        ("中性/NEUTROPHIL/1.jpg", "gbk"),
        ("好中球/表/ソ.jpg", "cp932"),
    ],
)
def test_names_without_the_utf_8_flag_are_decoded(name: str, encoding: str, tmp_path: Path) -> None:
    """By the folder that is a class, or by the letters."""
    assert names_of([Entry(name.encode(encoding), b"x")], tmp_path) == [name]


def test_a_backslash_within_a_letter_is_no_separator(tmp_path: Path) -> None:
    """In Shift-JIS; no folder tells the encoding, but the class folder stays one."""
    (name,) = names_of([Entry("血液/NEUTROPHIL/表.jpg".encode("cp932"), b"x")], tmp_path)
    assert name.split("/")[1] == "NEUTROPHIL"
    assert name.count("/") == 2


def test_the_flag_and_the_unicode_path_name_the_encoding(tmp_path: Path) -> None:
    """Info-ZIP's field counts if its checksum is that of the name; else it is outdated."""
    flagged = Entry("Linfócito/1".encode(), b"x", flags=UTF_8)
    raw = b"Linf?cito/2"
    field = Entry(raw, b"x", extra=unicode_path(raw, "Linfócito/2"))
    outdated = Entry(b"NEUTROPHIL/3", b"x", extra=unicode_path(b"", "Linfócito/3", crc=1))
    damaged = Entry(b"NEUTROPHIL/4", b"x", extra=struct.pack("<HHBI", 0x7075, 5, 9, 1))
    names = names_of([flagged, field, outdated, damaged], tmp_path)
    assert names == ["Linfócito/1", "Linfócito/2", "NEUTROPHIL/3", "NEUTROPHIL/4"]


def test_a_self_extractor_and_a_comment_do_no_harm(tmp_path: Path) -> None:
    """A program before the zip, and a text after it."""
    before, comment = b"MZ" + bytes(900), b"packed by hand"
    content = zip_bytes([Entry(b"a/1.jpg", b"x")], before=before, comment=comment)
    (member,) = members_of(content, tmp_path)
    assert member.name == "a/1.jpg"


def hostile_field(name: str) -> Entry:
    raw = b"a_b"
    return Entry(raw, b"x", extra=unicode_path(raw, name))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([Entry(b"a\\..\\..\\x", b"x")], "leaves the archive"),
        ([Entry(b"..\\x", b"x")], "leaves the archive"),
        ([Entry(b"\\\\server\\share\\x", b"x")], "absolute path"),
        ([Entry(b"\\windows\\x", b"x")], "absolute path"),
        ([Entry(b"C:\\x.jpg", b"x")], "drive letter"),
        ([Entry(b".//etc/passwd", b"x")], "absolute path"),
        ([Entry(b"a/b\\c", b"x", system=UNIX)], "backslash in its path; expected `/`"),
        ([hostile_field("/etc/passwd")], "absolute path"),
        ([hostile_field("../x")], "leaves the archive"),
        ([hostile_field("a\x00b")], "control character"),
        ([Entry(b"a/1", b"x", extra=unicode_path(b"a/1", "b/1"))], "'a/1' has a second name"),
        ([Entry(b"a\\1.jpg", b"x"), Entry(b"a/1.jpg", b"x")], "in the archive twice"),
        ([Entry(b"./a/1", b"x"), Entry(b"a/1", b"x")], "in the archive twice"),
        (
            [Entry("é/1".encode(), b"x", flags=UTF_8), Entry("é/1".encode(), b"x")],
            "in the archive twice",
        ),
        ([Entry("é".encode("cp437"), b"x"), Entry("É".encode("cp437"), b"x")], "only in case"),
        ([Entry(b"a/1\n.jpg", b"x")], "control character"),
        ([Entry(b"Icon\r/1.jpg\r", b"x")], "control character"),
        ([Entry(b"", b"x")], "empty name"),
        ([Entry(b"a/1.jpg", b"x", method=9)], "received Deflate64"),
        ([Entry(b"a/1.jpg", b"x", method=93)], "with method Deflate; received Zstandard"),
        ([Entry(b"a/1.jpg", b"x", method=42)], "received method 42"),
        ([Entry(b"a/1.jpg", b"x", flags=1)], "encrypted; expected a zip without a password"),
        ([Entry(b"masks/more.7z", b"x")], "archive inside .*: unpack this one"),
    ],
)
def test_what_is_unsafe_or_unclear_is_refused(
    entries: list[Entry], message: str, tmp_path: Path
) -> None:
    """The rules hold for the converted name; the message says how to pack the archive again."""
    with pytest.raises(InvalidInputError, match=message):
        names_of(entries, tmp_path)


def test_a_folder_that_is_two_classes_is_refused(tmp_path: Path) -> None:
    """By the encoding of its name."""
    path = tmp_path / "two.zip"
    raw = "Linfócito/1".encode("cp850")
    path.write_bytes(zip_bytes([Entry(raw, b"x")]))
    classes = {"Linfócito", raw.decode("cp1252").split("/")[0]}
    with (
        pytest.raises(InvalidInputError, match=r"depending on the encoding .*: pack it again"),
        open_archive(path, IngestConfig()) as archive,
    ):
        check_members(archive, IngestConfig(), classes.__contains__)


@pytest.mark.field("blank_mask")
def test_a_blank_image_is_no_bomb(tmp_path: Path) -> None:
    """The compression ratio counts above a size; the limits of entry and archive are absolute."""
    entry = Entry(b"a/1.bmp", bytes(15_000_000), method=8)
    assert names_of([entry], tmp_path) == ["a/1.bmp"]
    larger = Entry(b"a/1.bmp", bytes(17_000_000), method=8)
    with pytest.raises(InvalidInputError, match="too high a compression ratio"):
        names_of([larger], tmp_path)
    content = zip_bytes([entry])
    with pytest.raises(InvalidInputError, match=r"1.bmp' is too large"):
        members_of(content, tmp_path, IngestConfig(max_member_bytes=14_000_000))
    with pytest.raises(InvalidInputError, match="uncompressed archive is too large"):
        members_of(content, tmp_path, IngestConfig(max_total_bytes=14_000_000))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "it is a 7z archive; pack the folders"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(99), "it is a RAR archive"),
        (b"\x1f\x8b\x08" + bytes(99), r"it is a gzip file, such as \.tar\.gz"),
        (b"\xfd7zXZ\0" + bytes(99), "it is an xz file"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "it is a Zstandard file"),
        (bytes(257) + b"ustar" + bytes(300), "it is a tar archive"),
        (b"\n<!DOCTYPE html><html>", "it is an HTML page: the download failed"),
        (b"\xff\xd8\xff\xe0" + bytes(99), "it is an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        (b"", "it is an empty file"),
        (ONE_IMAGE[:90], "it is incomplete or damaged; upload it again"),
        (b"PK\x07\x08" + ONE_IMAGE[:90], "it is one part of a split zip"),
        (LAST_PART, "it is one part of a split zip .* received part 3"),
    ],
    ids=[
        *("7z", "rar", "gzip", "xz", "zstd", "tar", "html", "image", "Git LFS", "empty"),
        *("truncated", "first part", "last part"),
    ],
)
def test_another_format_is_named(content: bytes, name: str, tmp_path: Path) -> None:
    """With how to pack the images again."""
    with pytest.raises(InvalidInputError, match=f"cells.zip cannot be opened: {name}"):
        members_of(content, tmp_path)
