"""Eligible cells: test cells on which challenger and champion may be compared.

A model has seen a cell when an image of its group was in the model's training or validation part,
by image hash or by group name. The validation part counts, since it calibrated the model.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from pipeline.records import Frozen, Record


class EligibleCells(Frozen):
    """Numbers of test cells that neither, one or both models were trained on."""

    images: int
    """Images of cells that neither model has seen and that both predicted."""
    fair: dict[str, int]
    """Number of such cells by class; 0 where there is none."""
    leaked: tuple[str, ...]
    """Groups of the test part that the challenger has seen: copies across the split."""
    spent: dict[str, int]
    """Number of cells by class that only the champion has seen."""


def select_eligible_cells(
    test: Sequence[Record],
    challenger: Iterable[Record],
    champion: Iterable[Record],
    classes: Sequence[str],
    unanswered: AbstractSet[str] = frozenset(),
) -> tuple[EligibleCells, list[Record]]:
    """Select the test cells that neither model was trained on; returns counts and their records.

    Args:
        test: records of the locked test part.
        challenger: records of the challenger's training and validation parts.
        champion: the same of the champion; empty when there is none.
        classes: classes to count, those of the challenger's contract.
        unanswered: hashes of images for which the champion has no prediction.
    """
    leaked, seen = _seen(test, challenger), _seen(test, champion)
    unseen = [record for record in test if record.group not in leaked | seen]
    eligible = [record for record in unseen if record.sha256 not in unanswered]
    cells = EligibleCells(
        images=len(eligible),
        fair=_count_cells(eligible, classes),
        leaked=tuple(sorted(leaked)),
        spent=_count_cells([r for r in test if r.group in seen - leaked], classes),
    )
    return cells, eligible


def _seen(test: Sequence[Record], trained_on: Iterable[Record]) -> set[str]:
    """Test groups that were trained on: an image hash or the group name is the same."""
    hashes, groups = set(), set()
    for record in trained_on:
        hashes.add(record.sha256)
        groups.add(record.group)
    return {r.group for r in test if r.sha256 in hashes or r.group in groups}


def _count_cells(records: Sequence[Record], classes: Sequence[str]) -> dict[str, int]:
    """Number of cells by class; a cell with two labels counts for both."""
    counts = Counter(label for label, _ in {(r.label, r.cell) for r in records})
    return {name: counts[name] for name in classes}
