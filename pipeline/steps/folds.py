"""Folds for cross-validation: cells are dealt within their class, and never cut."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.steps.split import groups_in


def deal_folds(records: Sequence[Record], folds: int) -> dict[str, int]:
    """Group to fold, 0 to `folds` - 1: each class's groups in turn, in order of a hash.

    Raises:
        InvalidInputError: when there are fewer than 3 folds, or a class has too few cells.
    """
    classes = _by_class(records)
    fewest = min((len(groups) for groups in classes), default=0)
    if not 3 <= folds <= fewest:
        raise InvalidInputError(
            "the cells cannot be dealt into folds",
            expected=f"3 to {fewest} folds: every class has a cell in each",
            received=str(folds),
        )
    return {
        group: place % folds
        for groups in classes
        for place, group in enumerate(sorted(groups, key=_place))
    }


def parts_of(
    records: Sequence[Record], fold_of: Mapping[str, int], fold: int, share: float
) -> dict[str, list[Record]]:
    """What is scored in one fold (`test`), calibrated on (`val`) and learned from (`train`).

    Args:
        records: labelled images with their groups.
        fold_of: as `deal_folds` gives it.
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
    for groups in _by_class(records):
        count = math.ceil(share * len(groups))
        chosen.update(sorted(groups, key=_place_to_learn)[:count])
    return [record for record in records if record.group in chosen]


def _by_class(records: Sequence[Record]) -> list[list[str]]:
    classes: dict[str, list[str]] = defaultdict(list)
    for group in groups_in(records):
        classes[group.label].append(group.id)
    return list(classes.values())


def _place(group: str) -> str:
    return hashlib.sha256(f"fold:{group}".encode()).hexdigest()


def _place_to_learn(group: str) -> str:
    return hashlib.sha256(f"learn:{group}".encode()).hexdigest()
