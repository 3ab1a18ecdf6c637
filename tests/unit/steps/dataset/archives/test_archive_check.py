"""Unsafe archives are rejected with the broken rule; safe ones are read completely."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.archive_limits import IngestConfig
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.archives.archive_check import check_members
from pipeline.steps.dataset.archives.archive_file import open_archive

LIMITS = IngestConfig(
    max_archive_bytes=1_000_000,
    max_members=20,
    max_member_bytes=50_000,
    max_total_bytes=80_000,
    max_ratio=50,
    ratio_from_bytes=10_000,
)
Build = Callable[[zipfile.ZipFile], None]


def _names(*names: str) -> Build:
    def build(archive: zipfile.ZipFile) -> None:
        for name in names:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            archive.writestr(entry, b"data" if not name.endswith("/") else b"")

    return build


def _mode(mode: int) -> Build:
    def build(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo("ROUND/link.png")
        entry.create_system, entry.external_attr = 3, mode << 16
        archive.writestr(entry, b"/etc/passwd")

    return build


def _sizes(*sizes: int) -> Build:
    def build(archive: zipfile.ZipFile) -> None:
        for number, size in enumerate(sizes):
            archive.writestr(f"ROUND/{number}.png", bytes(size))

    return build


def _bomb(archive: zipfile.ZipFile) -> None:
    archive.writestr("ROUND/bomb.png", bytes(40_000), zipfile.ZIP_DEFLATED)


def _odd_method(archive: zipfile.ZipFile) -> None:
    archive.writestr("ROUND/a.png", b"data", zipfile.ZIP_BZIP2)


HOSTILE: dict[str, tuple[Build, str]] = {
    "absolute": (_names("/etc/passwd"), "absolute path"),
    "parent folder": (_names("ROUND/../../x.png"), "leaves the archive"),
    "backslash": (_names("ROUND/a\\x.png"), "backslash"),
    "drive": (_names("C:/x.png"), "drive letter"),
    "control": (_names("ROUND/x\n.png"), "a control character in its name"),
    "null": (_names("ROUND/x.png\0.txt"), "a control character in its name"),
    "empty part": (_names("ROUND//x.png"), "empty part"),
    "dot part": (_names("ROUND/./x.png"), "empty part or '.'"),
    "parent folder entry": (_names("../"), "leaves the archive"),
    "parent folder of a desktop file": (_names("__MACOSX/../../x"), "leaves the archive"),
    "link": (_mode(stat.S_IFLNK | 0o777), "is a link"),
    "device": (_mode(stat.S_IFCHR | 0o666), "neither a file nor a folder"),
    "twice": (_names("ROUND/x.png", "ROUND/x.png"), "twice"),
    "one letter twice": (_names("x", "x"), "twice"),
    "case clash": (_names("ROUND/x.png", "round/X.png"), "only in case"),
    "unicode clash": (_names("\u00e9.png", "e\u0301.png"), "only in case or encoding"),
    "file and folder": (_names("ROUND", "ROUND/x.png"), "also a file"),
    "nested": (_names("ROUND/more.tar.gz"), "archive inside"),
    "nested zip": (_names("ROUND/MORE.ZIP"), "archive inside"),
    "ratio": (_bomb, "too high a compression ratio"),
    "member size": (_sizes(50_001), "too large"),
    "total size": (_sizes(30_000, 30_000, 30_000), "uncompressed archive is too large"),
    "count": (_sizes(*[1] * 21), "too many entries"),
    "method": (_odd_method, "unsupported compression method"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_unsafe_archive_is_rejected(kind: str, tmp_path: Path) -> None:
    """Each kind of unsafe entry is rejected with a message that names the rule."""
    build, rule = HOSTILE[kind]
    with pytest.raises(InvalidInputError, match=rule):
        _check(_written(tmp_path, build))


def test_encrypted_entry_is_rejected(tmp_path: Path) -> None:
    """An entry with an encryption flag is rejected."""
    data = bytearray(_written(tmp_path, _names("ROUND/x.png")).read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1
    with pytest.raises(InvalidInputError, match="is encrypted"):
        _check(_file(tmp_path, data))


def test_overlapping_entries_are_rejected(tmp_path: Path) -> None:
    """Two entries with the same bytes are rejected."""
    data = bytearray(_written(tmp_path, _names("ROUND/a.png", "ROUND/b.png")).read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    struct.pack_into("<I", data, second + 42, 0)
    with pytest.raises(InvalidInputError, match="shares bytes"):
        _check(_file(tmp_path, data))


def test_size_that_reaches_into_the_directory_is_rejected(tmp_path: Path) -> None:
    """An entry whose data overlap the central directory is rejected."""
    data = bytearray(_written(tmp_path, _names("ROUND/a.png")).read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 20, 40)
    with pytest.raises(InvalidInputError, match="shares bytes"):
        _check(_file(tmp_path, data))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06"])
def test_file_that_is_no_zip_is_rejected(content: bytes, tmp_path: Path) -> None:
    """Another file named .zip raises InvalidInputError."""
    with pytest.raises(InvalidInputError, match="cannot be opened"):
        _check(_file(tmp_path, content))


def test_archive_over_the_limit_is_rejected(tmp_path: Path) -> None:
    """A file larger than the limit is rejected before it is read."""
    with pytest.raises(InvalidInputError, match="too large"):
        _check(_file(tmp_path, bytes(LIMITS.max_archive_bytes + 1)))


def test_huge_central_directory_is_rejected_before_it_is_read(tmp_path: Path) -> None:
    """A central directory that exceeds the limit is not read into memory."""
    limits = LIMITS.model_copy(update={"max_archive_bytes": 10_000_000})
    path = _written(tmp_path, _names(*(f"{n:0200d}" for n in range(6000))))
    with (
        pytest.raises(InvalidInputError, match="central directory is too large"),
        open_archive(path, limits),
    ):
        pass


def test_folders_are_not_returned(tmp_path: Path) -> None:
    """All files are returned, sorted; `file_policy` leaves out those that are no images."""
    names = ("b/", "b/2.png", "a/1.png", "a/.DS_Store")
    assert _check(_written(tmp_path, _names(*names))) == ["a/.DS_Store", "a/1.png", "b/2.png"]


@given(st.text(max_size=30))
def test_accepted_names_stay_inside_any_folder(name: str) -> None:
    """Any name is rejected, or its path stays below the folder that it is joined to."""
    buffer = io.BytesIO()
    try:
        with zipfile.ZipFile(buffer, "w") as archive:
            _names(name)(archive)
    except (UnicodeEncodeError, IndexError):
        return
    with zipfile.ZipFile(buffer) as archive:
        try:
            kept = [member.name for member in check_members(archive, LIMITS)]
        except InvalidInputError:
            return
    folder = Path("/inside")
    assert all((folder / path).resolve().is_relative_to(folder) for path in kept)


def _written(folder: Path, build: Build) -> Path:
    path = folder / "hostile.zip"
    with zipfile.ZipFile(path, "w") as archive:
        build(archive)
    return path


def _file(folder: Path, content: bytes | bytearray) -> Path:
    path = folder / "changed.zip"
    path.write_bytes(content)
    return path


def _check(path: Path) -> list[str]:
    with open_archive(path, LIMITS) as archive:
        return [member.name for member in check_members(archive, LIMITS)]
