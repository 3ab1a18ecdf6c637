"""Eligible cells: which held-out cells may judge a challenger and its champion.

A cell was seen by a model when any image of its group, or its group by name, was in the training or
the validation part, from which the best epoch and the calibration were chosen.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from pipeline.records import Frozen, Record


class EligibleCells(Frozen):
    """The locked test part, told apart by who has seen it."""

    images: int
    """That may judge: of cells that neither model has seen, and answered by both."""
    fair: dict[str, int]
    """Class to number of cells that may judge; 0 where none is left."""
    leaked: tuple[str, ...]
    """Groups of the test part that the challenger has seen: copies across the split."""
    spent: dict[str, int]
    """Class to number of cells that only the champion has seen."""


def select_eligible_cells(
    test: Sequence[Record],
    challenger: Iterable[Record],
    champion: Iterable[Record],
    classes: Sequence[str],
    unanswered: AbstractSet[str] = frozenset(),
) -> tuple[EligibleCells, list[Record]]:
    """Tell the fair cells from the others; returns their records too, in order of `test`.

    Args:
        test: records of the locked test part.
        challenger: records that the challenger was trained on or chosen by.
        champion: the same of the champion, none when there is none.
        classes: of the challenger's contract; each is counted.
        unanswered: hashes of images that the champion can no longer be asked about.
    """
    leaked, seen = _seen(test, challenger), _seen(test, champion)
    unseen = [record for record in test if record.group not in leaked | seen]
    fair = [record for record in unseen if record.sha256 not in unanswered]
    evidence = EligibleCells(
        images=len(fair),
        fair=_cells(fair, classes),
        leaked=tuple(sorted(leaked)),
        spent=_cells([record for record in test if record.group in seen - leaked], classes),
    )
    return evidence, fair


def _seen(test: Sequence[Record], trained: Iterable[Record]) -> set[str]:
    """Groups of the test part of which training saw an image or the name."""
    hashes, groups = set(), set()
    for record in trained:
        hashes.add(record.sha256)
        groups.add(record.group)
    return {r.group for r in test if r.sha256 in hashes or r.group in groups}


def _cells(records: Sequence[Record], classes: Sequence[str]) -> dict[str, int]:
    """Class to number of its cells; a cell with two labels counts for both."""
    counts = Counter(label for label, _ in {(r.label, r.cell) for r in records})
    return {name: counts[name] for name in classes}
