"""Limits of an archive, which of its files are read, and where their groups come from."""

import unicodedata
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from pipeline.records import Frozen

NOT_INCLUDED = "not matched by ingest.include"
EXCLUDED = "matched by ingest.exclude"


def _as_list(value: Any) -> Any:
    """One pattern without its brackets, and an empty key, as YAML files have them."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class PathFilter(Frozen):
    """Patterns of paths inside an archive, as in `.gitignore`; letter case does not matter.

    `*` and `?` stand for letters of one name, `**` for any number of folders. A pattern with a
    slash starts at the archive's root, one without a slash matches a name at any depth, and the
    pattern of a folder matches all files below it.
    """

    include: Patterns = Field(default=(), exclude_if=lambda patterns: not patterns)
    """Only files that match one of these are read; empty: all."""
    exclude: Patterns = Field(default=(), exclude_if=lambda patterns: not patterns)
    """Files that match one of these are not read, also if they are included."""

    @field_validator("include", "exclude")
    @classmethod
    def _require_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            parts = _parts(pattern)
            if not parts or ".." in parts or "" in parts:
                raise ValueError(f"{pattern!r} is no pattern of a path inside the archive")
            if any("**" in part and part != "**" for part in parts):
                raise ValueError(f"{pattern!r} has ** beside letters: write **/*.jpg, not **.jpg")
        return patterns

    def reason(self, path: str) -> str:
        """Why a file is not read; empty if it is."""
        if self.include and not _matches_any(path, self.include):
            return NOT_INCLUDED
        return EXCLUDED if _matches_any(path, self.exclude) else ""


ALL_FILES = PathFilter()
"""No pattern: every file is read."""


class IngestConfig(PathFilter):
    """Limits of an archive, checked before anything is written outside the staging folder."""

    max_archive_bytes: int = 4_000_000_000
    max_members: int = 200_000
    max_member_bytes: int = 50_000_000
    max_total_bytes: int = 16_000_000_000
    max_ratio: float = 100.0
    """Maximum ratio of uncompressed to compressed size of a larger member than
    `ratio_from_bytes`."""
    ratio_from_bytes: int = Field(default=16_000_000, exclude_if=lambda n: n == 16_000_000)
    """Uncompressed size above which `max_ratio` applies: a blank image is compressed a
    thousandfold."""
    group_from: Literal["pattern", "folder", "manifest"] = Field(
        default="pattern", exclude_if=lambda source: source == "pattern"
    )
    """Where a file's group (slide, patient or source cell) comes from if `manifest.csv` names none.
    `pattern`: `group_pattern`. `folder`: the folder below the class folder, `patient_3` of
    `NEUTROPHIL/patient_3/x.jpg`; without a class folder, the file's folder. `manifest`: none."""
    group_pattern: str = ""
    """Regular expression with one group: the slide, patient or source cell. It is searched in the
    file name, then in the whole path."""
    limit: int = 0
    """Maximum number of images per class and archive, chosen by hash; 0: all."""


def _matches_any(path: str, patterns: Iterable[str]) -> bool:
    parts = _parts(path)
    return any(_matches(parts, _anchored(_parts(pattern))) for pattern in patterns)


def _anchored(pattern: Sequence[str]) -> Sequence[str]:
    """The pattern from the root: a single name is looked for at any depth."""
    return pattern if len(pattern) > 1 else ("**", *pattern)


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a pattern matches a path, or a folder above it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(path[start:], pattern[1:]) for start in range(len(path) + 1))
    if not path:
        return False
    # A name with brackets, such as `slide [a]`, matches itself.
    first = path[0] == pattern[0] or fnmatchcase(path[0], pattern[0])
    return first and _matches(path[1:], pattern[1:])


def _parts(path: str) -> tuple[str, ...]:
    """Names of a path or pattern in the form in which they are compared."""
    folded = unicodedata.normalize("NFC", path.strip()).casefold().replace("\\", "/")
    return tuple(folded.removeprefix("./").strip("/").split("/")) if folded.strip("/") else ()
