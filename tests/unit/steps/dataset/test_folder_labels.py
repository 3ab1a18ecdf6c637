"""The nearest folder that is a class labels a file; a folder or the path names its group."""

import pytest

from pipeline.config.archive_limits import IngestConfig
from pipeline.contract.class_names import by_canonical
from pipeline.errors import InvalidInputError
from pipeline.steps.dataset.folder_labels import group_of, label_of

SPELLING = by_canonical(("LOBED", "ROUND"))


@pytest.mark.parametrize(
    ("file", "label"),
    [
        ("ROUND/a.png", "ROUND"),
        ("data/TRAIN/round/a.png", "round"),
        ("ROUND/patient_3/a.png", "ROUND"),
        ("ROUND/patient_3/slide 1/a.png", "ROUND"),
        ("patient_3/ROUND/a.png", "ROUND"),
        ("ROUND/LOBED/a.png", "LOBED"),
        ("ROUND/rounds/a.png", "ROUND"),
        ("ROUND/lob/a.png", "ROUND"),
        ("ROUND/Lobe/a.png", "Lobe"),
        ("ROUND/Lobbed/day 1/a.png", "Lobbed"),
        ("other/patient_3/a.png", "patient_3"),
        ("a.png", ""),
    ],
)
@pytest.mark.field("patient_folders")
def test_the_nearest_class_folder_is_the_label(file: str, label: str) -> None:
    """At any depth, as the archive spells it; without one, the name of the parent folder.

    A misspelt class within another class's folder is no class: either name may be wrong.
    """
    assert label_of(file, SPELLING) == label


@pytest.mark.parametrize(
    ("file", "group"),
    [
        ("ROUND/a.png", ""),
        ("ROUND/patient_3/a.png", "patient_3"),
        ("ROUND/patient_3/slide 1/a.png", "patient_3"),
        ("patient_3/a.png", "patient_3"),
        ("a.png", ""),
    ],
)
@pytest.mark.field("patient_folders")
def test_a_folder_below_the_class_is_the_group(file: str, group: str) -> None:
    """Only if the config says so; without a class folder, the file's folder is the group."""
    assert group_of(file, SPELLING, IngestConfig(group_from="folder")) == group
    assert group_of(file, SPELLING, IngestConfig()) == ""


@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        (r"_(p\d)", "p2"),
        (r"(p\d)/", "p1"),
        (r"^ROUND/([^/]+)/", "p1"),
        (r"(slide)?", ""),
        (r"(x\d)", ""),
    ],
)
def test_a_pattern_sees_the_name_and_then_the_path(pattern: str, group: str) -> None:
    """A match in the file name precedes one in a folder's name."""
    found = group_of("ROUND/p1/a_p2.png", SPELLING, IngestConfig(group_pattern=pattern))
    assert found == group


def test_the_manifest_alone_may_name_groups() -> None:
    """A pattern is then not used."""
    config = IngestConfig(group_from="manifest", group_pattern=r"(p\d)")
    assert group_of("ROUND/p1/a_p2.png", SPELLING, config) == ""


@pytest.mark.parametrize("pattern", ["p", "(", "p(?:1)"])
def test_a_pattern_without_a_group_is_refused(pattern: str) -> None:
    """The error names the setting."""
    with pytest.raises(InvalidInputError, match=r"ingest\.group_pattern"):
        group_of("ROUND/p1.png", SPELLING, IngestConfig(group_pattern=pattern))
