"""The policy on files that are no images: one table, in code, documents and JSON."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.contract.files.file_policy import (
    LeftOut,
    left_out_by_content,
    left_out_by_path,
    rules_as_json,
)
from pipeline.contract.files.file_rules import RULES
from pipeline.contract.files.image_signatures import IMAGE_SUFFIXES

ROOT = Path(__file__).resolve().parents[4]
MACOS, WINDOWS = "macOS metadata", "Windows metadata"


def is_class(name: str) -> bool:
    return name in ("ROUND", "labels of LOBED", "mask", "CVS")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("ROUND/._1.jpeg", MACOS),
        ("__MACOSX/ROUND/1.jpeg", MACOS),
        ("ROUND/.DS_Store", MACOS),
        ("ROUND/Icon\r", MACOS),
        (".Spotlight-V100/Store-V2/a.png", MACOS),
        (".fseventsd/0000", MACOS),
        ("ROUND/THUMBS.DB", WINDOWS),
        ("ROUND/Thumbs.db:encryptable", WINDOWS),
        ("ROUND/1.jpg:Zone.Identifier", WINDOWS),
        ("$RECYCLE.BIN/S-1-5-21/1.jpg", WINDOWS),
        ("System Volume Information/x", WINDOWS),
        ("ROUND/@eaDir/1.jpg/SYNOPHOTO_THUMB_XL.jpg", "network storage metadata"),
        ("ROUND/.nfs000000001", "Linux metadata"),
        ("DCIM/100CANON/IMG_1.THM", "camera metadata"),
        ("DCIM/100CANON/IMG_1.xmp", "camera metadata"),
        ("ROUND/.picasa.ini", "camera metadata"),
        ("ROUND/ZbThumbnail.info", "camera metadata"),
        ("~$counts.xlsx", "lock of an open document"),
        ("ROUND/1.jpg~", "backup or unfinished copy"),
        (".git/objects/ab/cdef", "version control"),
        ("ROUND/.gitkeep", "version control"),
        (".ipynb_checkpoints/a.png", "software cache"),
        (".RData", "software cache"),
        (".hidden/1.jpg", "hidden file"),
    ],
)
@pytest.mark.field("appledouble")
def test_metadata_is_ignored(path: str, reason: str) -> None:
    """Files that operating systems, cameras, editors and version control add."""
    assert left_out_by_path(path, is_class) == LeftOut("ignored", reason)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("README.txt", "text"),
        ("LICENSE", "text"),
        ("labels.csv", "table"),
        ("Counts 2024.XLSX", "table"),
        ("Annotations/1.xml", "annotation or settings"),
        ("paper.pdf", "document"),
        ("train.ipynb", "program"),
        ("model.h5", "array or model"),
        ("clip.avi", "video or sound"),
        ("masks/1.png", "mask"),
        ("masks/ROUND/1.png", "mask"),
        ("Ground_Truth/ROUND/1.png", "mask"),
        ("ROUND/1_mask.png", "mask"),
        ("ROUND/labels/1.png", "folder of masks or annotations"),
        ("train_masks/1.png", "folder of masks or annotations"),
        ("SegmentationClass/1.png", "folder of masks or annotations"),
    ],
)
@pytest.mark.field("stray_files")
def test_other_files_are_skipped(path: str, reason: str) -> None:
    """Files that a person added and that are no images of cells."""
    assert left_out_by_path(path, is_class) == LeftOut("skipped", reason)


@pytest.mark.parametrize(
    "path",
    [
        "ROUND/1.jpg",
        "ROUND/1",
        "labels/ROUND/1.jpg",
        "images_and_masks/ROUND/1.jpg",
        "labels of LOBED/1.jpg",
        "mask/1.jpg",
        "CVS/1.jpg",
        "ROUND/IMG~1.JPG",
        "unmasked/1.jpg",
        "ROUND/100%.png",
        "ROUND/a.b.c.tiff",
    ],
)
def test_images_and_class_folders_are_read(path: str) -> None:
    """A folder whose name is a class fits no rule, and a class below makes labels a plain name."""
    assert left_out_by_path(path, is_class) is None


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_no_rule_takes_the_name_of_an_image(suffix: str) -> None:
    """Whatever its format: validation names those that it cannot read."""
    assert left_out_by_path(f"ROUND/1{suffix}", is_class) is None
    assert left_out_by_path(f"ROUND/1{suffix.upper()}", is_class) is None


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("_1.jpeg", b"\x00\x05\x16\x07" + bytes(60), LeftOut("ignored", MACOS)),
        ("placeholder", b"", LeftOut("ignored", "empty file")),
        ("1.jpg", b"", None),
        ("1.jpg", b"not an image", None),
        ("1", b"\xff\xd8\xff\xe0", None),
        ("1.dat", b"\x89PNG\r\n\x1a\n", None),
        ("1", b"BM\x36\x10\x0e\x00\x00\x00\x00\x00", None),
        ("1", bytes(128) + b"DICM", None),
        ("1", b"BMI of the patients\n", LeftOut("skipped", "text")),
        ("notes", "Größe\n".encode(), LeftOut("skipped", "text")),
        ("notes", "a\n".encode("utf-16"), LeftOut("skipped", "text")),
        ("1.dat", b"\x00\x01\x02", LeftOut("skipped", "unknown file type")),
    ],
)
def test_content_decides_where_no_name_does(
    name: str, head: bytes, expected: LeftOut | None
) -> None:
    """A suffix or first bytes of an image make a file one, readable or not."""
    assert left_out_by_content(name, head) == expected


def test_the_page_of_archives_has_this_table() -> None:
    """Kind, reason, names and folders of each rule, in the order in which they apply."""
    page = (ROOT / "docs" / "archives.md").read_text()
    section = page.partition("\n## Files that are no images\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    shown = [
        (kind.strip(), reason.strip(), *(tuple(re.findall(r"`([^`]+)`", x)) for x in (names, dirs)))
        for kind, reason, names, dirs in rows[2:]
    ]
    assert shown == [
        (rule.kind, rule.reason, tuple(n.replace("\r", "\\r") for n in rule.names), rule.folders)
        for rule in RULES
    ]


@given(st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name))
def test_the_patterns_for_javascript_decide_as_the_policy_does(name: str) -> None:
    """For files in no folder."""
    fitting = next(
        (
            LeftOut("ignored" if rule["kind"] == "ignored" else "skipped", rule["reason"])
            for rule in rules_as_json()
            if "names" in rule and re.fullmatch(rule["names"], name, re.IGNORECASE | re.DOTALL)
        ),
        None,
    )
    assert left_out_by_path(name) == fitting
