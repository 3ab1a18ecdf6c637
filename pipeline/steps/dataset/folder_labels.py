"""Label and group of a file from the names of its folders."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from pipeline.config.archive_limits import IngestConfig
from pipeline.contract.class_names import canonical, nearest
from pipeline.errors import InvalidInputError


def class_folder(file: str, spelling: Mapping[str, str]) -> PurePosixPath | None:
    """The nearest folder above a file whose name is a class, at any depth; None without one.

    Args:
        file: path inside the archive.
        spelling: canonical form to class (`class_names.by_canonical`).
    """
    folders = PurePosixPath(file).parents
    return next((folder for folder in folders if canonical(folder.name) in spelling), None)


def label_of(file: str, spelling: Mapping[str, str]) -> str:
    """Name of the class folder as the archive spells it; without one, that of the file's folder.

    A folder below the class folder that nearly has the name of another class, such as `Eosinophils`
    in `NEUTROPHIL`, is the label: an unknown class, because either name may be wrong.
    """
    folder = class_folder(file, spelling)
    if folder is None:
        return PurePosixPath(file).parent.name
    below = PurePosixPath(file).relative_to(folder).parts[:-1]
    own, classes = spelling[canonical(folder.name)], tuple(spelling.values())
    return next(
        (name for name in reversed(below) if _misspelt(name, classes) not in ("", own)), folder.name
    )


def group_of(file: str, spelling: Mapping[str, str], config: IngestConfig) -> str:
    """Group that a file's path names, by `group_from`; empty if it names none.

    Raises:
        InvalidInputError: for an invalid `group_pattern`.
    """
    if config.group_from == "folder":
        return _folder_below_class(file, spelling)
    if config.group_from == "pattern" and config.group_pattern:
        require_pattern(config)
        return _searched(file, config.group_pattern)
    return ""


@lru_cache(4096)
def _misspelt(name: str, classes: tuple[str, ...]) -> str:
    return nearest(name, classes, abbreviations=False)


def _folder_below_class(file: str, spelling: Mapping[str, str]) -> str:
    folder = class_folder(file, spelling)
    if folder is None:
        return PurePosixPath(file).parent.name
    below = PurePosixPath(file).relative_to(folder).parts
    return below[0] if len(below) > 1 else ""


def require_pattern(config: IngestConfig) -> None:
    """Raise InvalidInputError unless `group_pattern` is empty or an expression with a group."""
    pattern = config.group_pattern
    try:
        groups = re.compile(pattern).groups
    except re.error:
        groups = 0
    if pattern and not groups:
        raise InvalidInputError(
            "invalid value for ingest.group_pattern",
            expected="a regular expression with one group",
            received=pattern,
        )


def _searched(file: str, pattern: str) -> str:
    """The group in a file's name, else in its path; empty without a match."""
    matches = (re.search(pattern, text) for text in (PurePosixPath(file).name, file))
    return next((match.group(1) for match in matches if match and match.group(1)), "")
