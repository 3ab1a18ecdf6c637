"""Patterns of the files of an archive that are read."""

import pytest
from pydantic import ValidationError

from pipeline.config.archive_limits import EXCLUDED, NOT_INCLUDED, IngestConfig, PathFilter


@pytest.mark.parametrize(
    ("pattern", "matched", "unmatched"),
    [
        ("data/TRAIN/**", ["data/TRAIN/A/1.jpg", "data/train/2.jpg"], ["data/TEST/A/1.jpg"]),
        ("data/TRAIN", ["data/TRAIN/A/1.jpg"], ["data/TRAINING/1.jpg", "x/data/TRAIN/1.jpg"]),
        ("data/TRAIN/", ["data/TRAIN/A/1.jpg"], ["data/1.jpg"]),
        ("./data/TRAIN/*.jpg", ["data/TRAIN/1.JPG"], ["data/TRAIN/A/1.jpg", "data/TRAIN/1.png"]),
        ("data\\TRAIN", ["data/TRAIN/A/1.jpg"], ["data/1.jpg"]),
        ("**/A/*", ["A/1.jpg", "x/y/A/1.jpg", "A/B/1.jpg"], ["B/1.jpg"]),
        ("x/**/A/*.jpg", ["x/A/1.jpg", "x/y/z/A/1.jpg"], ["x/y/1.jpg", "A/1.jpg"]),
        ("masks", ["masks/1.png", "x/masks/1.png"], ["x/masks.png"]),
        ("*.bmp", ["1.bmp", "x/y/1.BMP"], ["x/1.png"]),
        ("scan_?.jpg", ["x/scan_1.jpg"], ["x/scan_10.jpg"]),
        ("slide [a]/**", ["slide [a]/1.jpg", "slide a/1.jpg"], ["slide b/1.jpg"]),
        ("Linfo\u0301cito/**", ["Linfócito/1.jpg"], ["Linfocito/1.jpg"]),
        ("[/x", ["[/x/1.jpg"], ["x/1.jpg"]),
    ],
)
def test_a_pattern_names_files_and_folders(
    pattern: str, matched: list[str], unmatched: list[str]
) -> None:
    """As in .gitignore, in any letter case and Unicode form."""
    include, exclude = PathFilter(include=(pattern,)), PathFilter(exclude=(pattern,))
    assert [include.reason(path) for path in matched + unmatched] == (
        [""] * len(matched) + [NOT_INCLUDED] * len(unmatched)
    )
    assert [exclude.reason(path) for path in matched + unmatched] == (
        [EXCLUDED] * len(matched) + [""] * len(unmatched)
    )


def test_exclude_precedes_include() -> None:
    """A file that both match is not read."""
    one = PathFilter(include=("data/**",), exclude=("masks",))
    assert one.reason("data/1.jpg") == ""
    assert one.reason("data/masks/1.jpg") == EXCLUDED


@pytest.mark.parametrize("pattern", ["", " ", "/", "../x", "a/../b", "**.jpg", "a//b"])
def test_a_pattern_that_matches_nothing_is_refused_at_load(pattern: str) -> None:
    """The error repeats the pattern and names the field."""
    with pytest.raises(ValidationError, match=r"exclude\n.*pattern|exclude\n.*letters"):
        IngestConfig.model_validate({"exclude": [pattern]})


def test_one_pattern_and_an_empty_key_are_lists() -> None:
    """YAML files have `include: data/**` and `exclude:`."""
    loaded = IngestConfig.model_validate({"include": "data/**", "exclude": None})
    assert (loaded.include, loaded.exclude) == (("data/**",), ())


def test_defaults_are_not_written() -> None:
    """A config file of a bundle stays the same without patterns, and with it the bundle's tag."""
    written = IngestConfig().model_dump(mode="json")
    assert not {"include", "exclude", "group_from"} & set(written)
