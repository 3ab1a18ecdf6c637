"""Naming: group and cell of each image, from names that were given and ties that were found.

A group is never split: a slide, a patient or, where nobody named one, a source cell. A cell lies
within one group.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from pipeline.records import Record
from pipeline.steps.cells.matching.near_duplicates import Tie, unite


def to_compare(records: Sequence[Record]) -> list[list[int]]:
    """Places of the images to compare with each other, as sets that have no image in common.

    All of them where one has no named group: it may belong to any. Else a group's images are
    compared among themselves, unless all name their cell.
    """
    if not all(record.named_group for record in records):
        return [list(range(len(records)))]
    groups: dict[str, list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        groups[record.named_group].append(place)
    return [
        places
        for _, places in sorted(groups.items())
        if len(places) > 1 and not all(records[place].cell_hint for place in places)
    ]


def name_groups(records: Sequence[Record], ties: Iterable[Tie]) -> list[Record]:
    """Records with their group and their cell; a name that was given is never changed.

    An image without a named group takes the group, and within it the cell, of an image that it is
    tied to. A group that nobody named is `g`, and a cell is `c`, with twelve hex digits of the
    smallest hash of its images.
    """
    roots = unite(len(records), ties)
    groups = _groups(records, roots)
    cells = _cells(records, groups, roots)
    return [
        record.model_copy(update={"group": group, "cell": cell})
        for record, group, cell in zip(records, groups, cells, strict=True)
    ]


def _groups(records: Sequence[Record], roots: Sequence[int]) -> list[str]:
    tied: dict[int, list[Record]] = defaultdict(list)
    for record, root in zip(records, roots, strict=True):
        tied[root].append(record)
    of_tied = {
        root: min((r.named_group for r in same if r.named_group), default=_id("g", same))
        for root, same in tied.items()
    }
    return [r.named_group or of_tied[root] for r, root in zip(records, roots, strict=True)]


def _cells(records: Sequence[Record], groups: Sequence[str], roots: Sequence[int]) -> list[str]:
    named: dict[tuple[str, int], str] = {}
    for record, group, root in zip(records, groups, roots, strict=True):
        if record.cell_hint:
            known = named.get((group, root), record.cell_hint)
            named[group, root] = min(known, record.cell_hint)
    keys: list[Hashable] = [
        (group, record.cell_hint or named.get((group, root)) or root)
        for record, group, root in zip(records, groups, roots, strict=True)
    ]
    members: dict[Hashable, list[Record]] = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        members[key].append(record)
    return [_id("c", members[key]) for key in keys]


def _id(letter: str, same: Sequence[Record]) -> str:
    return f"{letter}{min(record.sha256 for record in same)[:12]}"
