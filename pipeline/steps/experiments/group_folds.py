"""Folds for cross-validation: groups are assigned within their class, and never divided."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.digests import sha256_bytes
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.statistics.folds import balanced_folds


def assign_folds(records: Sequence[Record], folds: int) -> dict[str, int]:
    """Group to fold, 0 to `folds` - 1, by hash; every fold has groups of every class.

    Raises:
        InvalidInputError: when there are fewer than 3 folds, or a class has fewer groups than that.
    """
    classes = _groups_of_classes(records)
    max_folds = min((len(groups) for groups in classes.values()), default=0)
    if 3 <= folds <= max_folds:
        names = sorted({name for groups in classes.values() for name in groups}, key=_fold_hash)
        members = np.array([[name in groups for groups in classes.values()] for name in names])
        fold_of = dict(zip(names, balanced_folds(members, folds).tolist(), strict=True))
        if all(len({fold_of[name] for name in groups}) == folds for groups in classes.values()):
            return fold_of
    raise InvalidInputError(
        "the groups cannot be assigned to folds",
        expected=f"3 to {max_folds} folds, each with a group (slide, patient or cell) per class",
        received=str(folds),
    )


def parts_of(
    records: Sequence[Record], fold_of: Mapping[str, int], fold: int, share: float
) -> dict[str, list[Record]]:
    """Records to fit on (`train`), to calibrate on (`val`) and to score (`test`) in one fold.

    Args:
        records: labelled images with their groups.
        fold_of: from `assign_folds`.
        fold: the fold to score.
        share: share of each class's other groups to use, above 0 to 1. The groups of a smaller
            share are a subset of those of a larger one.
    """
    folds = max(fold_of.values()) + 1
    parts: dict[str, list[Record]] = {"train": [], "val": [], "test": []}
    for record in records:
        offset = (fold_of[record.group] - fold) % folds
        # Half of the next fold, by the parity of a hash.
        calibrates = offset == 1 and int(_fold_hash(record.group)[-1], 16) % 2 == 0
        parts["test" if offset == 0 else "val" if calibrates else "train"].append(record)
    for part in ("train", "val"):
        parts[part] = _share_of(parts[part], share)
    return parts


def _share_of(records: Sequence[Record], share: float) -> list[Record]:
    """Records of a share (0 to 1) of each class's groups, chosen by hash."""
    chosen: set[str] = set()
    for groups in _groups_of_classes(records).values():
        count = math.ceil(share * len(groups))
        chosen.update(sorted(groups, key=_share_hash)[:count])
    return [record for record in records if record.group in chosen]


def _groups_of_classes(records: Sequence[Record]) -> dict[str, set[str]]:
    """Class to its groups, in alphabetical order of the classes."""
    classes: dict[str, set[str]] = defaultdict(set)
    for record in records:
        classes[record.label].add(record.group)
    return {label: classes[label] for label in sorted(classes)}


def _fold_hash(group: str) -> str:
    """Hash that orders groups when they are assigned to folds."""
    return sha256_bytes(f"fold:{group}".encode())


def _share_hash(group: str) -> str:
    """Hash that orders groups when a share of them is chosen."""
    return sha256_bytes(f"learn:{group}".encode())
