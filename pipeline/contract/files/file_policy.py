"""One policy for files that are no images: ignored, skipped, or read as an image.

What is read as an image and turns out to be none is quarantined by validation. What an archive is
refused for is in `pipeline.steps.dataset.archives`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from pipeline.contract.files.file_rules import RULES, Kind
from pipeline.contract.files.image_signatures import (
    SIGNATURE_BYTES,
    has_image_signature,
    has_image_suffix,
    is_text,
)

HEAD_BYTES = SIGNATURE_BYTES
"""First bytes of a file that `left_out_by_content` needs."""
_APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""First bytes of the file in which macOS keeps what another file system has no place for."""
_ALL_NAMES = tuple(name for rule in RULES for name in rule.names)
_ALL_FOLDERS = tuple(name for rule in RULES for name in rule.folders)


@dataclass(frozen=True)
class LeftOut:
    """Why a file is not read as an image."""

    kind: Kind
    reason: str


def left_out_by_path(path: str, is_class: Callable[[str], bool] | None = None) -> LeftOut | None:
    """The first rule that fits a file's name or a folder above it; None if there is none.

    Args:
        path: relative, with `/` between its names.
        is_class: whether a folder's name is a class. A class folder fits no rule. Where the
            classes are not known, rules on folders that a class folder may follow do not apply.
    """
    *folders, name = path.split("/")
    if not (_fits(_ALL_NAMES, name) or any(map(_fits_a_rule, folders))):
        return None
    classes = [index for index, folder in enumerate(folders) if is_class and is_class(folder)]
    nearest_class = classes[-1] if classes else -1
    for rule in RULES:
        start = nearest_class + 1 if rule.unless_classes_below else 0
        if rule.unless_classes_below and is_class is None:
            continue
        others = (f for index, f in enumerate(folders) if index >= start and index not in classes)
        if _fits(rule.names, name) or any(_fits(rule.folders, folder) for folder in others):
            return LeftOut(rule.kind, rule.reason)
    return None


def left_out_by_content(path: str, head: bytes) -> LeftOut | None:
    """Why a file that no name leaves out is no image; None if suffix or content claim that it is.

    Args:
        path: the file's path or name.
        head: its first `HEAD_BYTES`, or all if it is shorter.
    """
    if head.startswith(_APPLE_DOUBLE):
        return LeftOut("ignored", "macOS metadata")
    if has_image_suffix(path) or has_image_signature(head):
        return None
    if not head:
        return LeftOut("ignored", "empty file")
    return LeftOut("skipped", "text" if is_text(head) else "unknown file type")


def rules_as_json() -> list[dict[str, str]]:
    """The rules on names for JavaScript, which knows no classes: kind, reason and patterns.

    The patterns are regular expressions of a whole name of a file or folder, to be used without
    letter case; a pattern that fits nothing is left out.
    """
    return [
        {
            "kind": rule.kind,
            "reason": rule.reason,
            **({"names": _pattern(rule.names)} if rule.names else {}),
            **({"folders": _pattern(rule.folders)} if rule.folders else {}),
        }
        for rule in RULES
        if (rule.names or rule.folders) and not rule.unless_classes_below
    ]


@lru_cache
def _fits_a_rule(folder: str) -> bool:
    """Whether any rule is on this folder; the files of an archive have few folders."""
    return _fits(_ALL_FOLDERS, folder)


def _fits(names: tuple[str, ...], name: str) -> bool:
    return bool(names) and _compiled(names).fullmatch(name) is not None


@cache
def _compiled(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(_pattern(names), re.IGNORECASE | re.DOTALL)


def _pattern(names: tuple[str, ...]) -> str:
    """One regular expression for all names, the same in Python and JavaScript."""
    return "|".join(re.escape(name).replace(r"\*", ".*").replace(r"\ ", "[ _-]") for name in names)
