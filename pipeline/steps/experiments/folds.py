"""Folds for cross-validation: groups are dealt within their class, and never cut."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.statistics.folds import balanced_folds


def assign_folds(records: Sequence[Record], folds: int) -> dict[str, int]:
    """Group to fold, 0 to `folds` - 1: each class's groups in turn, in order of a hash.

    Raises:
        InvalidInputError: when there are fewer than 3 folds, or a class has too few groups.
    """
    classes = _by_class(records)
    fewest = min((len(groups) for groups in classes.values()), default=0)
    if 3 <= folds <= fewest:
        names = sorted({name for groups in classes.values() for name in groups}, key=_place)
        holds = np.array([[name in groups for groups in classes.values()] for name in names])
        fold_of = dict(zip(names, balanced_folds(holds, folds).tolist(), strict=True))
        if all(len({fold_of[name] for name in groups}) == folds for groups in classes.values()):
            return fold_of
    raise InvalidInputError(
        "the groups cannot be dealt into folds",
        expected=f"3 to {fewest} folds: every class has a group (slide, patient or cell) in each",
        received=str(folds),
    )


def parts_of(
    records: Sequence[Record], fold_of: Mapping[str, int], fold: int, share: float
) -> dict[str, list[Record]]:
    """What is scored in one fold (`test`), calibrated on (`val`) and learned from (`train`).

    Args:
        records: labelled images with their groups.
        fold_of: as `assign_folds` gives it.
        fold: whose groups are scored.
        share: of each class's groups that are left to calibrate on and to learn from.
    """
    folds = max(fold_of.values()) + 1
    parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in records:
        after = (fold_of[record.group] - fold) % folds
        # Half of the next fold, by the parity of a hash.
        calibrates = after == 1 and int(_place(record.group)[-1], 16) % 2 == 0
        parts["test" if after == 0 else "val" if calibrates else "train"].append(record)
    for part in ("train", "val"):
        parts[part] = _of_share(parts[part], share)
    return parts


def _of_share(records: Sequence[Record], share: float) -> list[Record]:
    """Records of a share of each class's groups: a larger share has those of a smaller one, too."""
    chosen: set[str] = set()
    for groups in _by_class(records).values():
        count = math.ceil(share * len(groups))
        chosen.update(sorted(groups, key=_place_to_learn)[:count])
    return [record for record in records if record.group in chosen]


def _by_class(records: Sequence[Record]) -> dict[str, set[str]]:
    """Class to the groups that hold it."""
    classes: dict[str, set[str]] = defaultdict(set)
    for record in records:
        classes[record.label].add(record.group)
    return {label: classes[label] for label in sorted(classes)}


def _place(group: str) -> str:
    return hashlib.sha256(f"fold:{group}".encode()).hexdigest()


def _place_to_learn(group: str) -> str:
    return hashlib.sha256(f"learn:{group}".encode()).hexdigest()
