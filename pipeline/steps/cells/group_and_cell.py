"""Group and cell of each image, from the archive's names and the near-duplicate matches.

A group is never split: a slide, a patient or, without a name, a source cell. A cell lies within one
group.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

from pipeline.records import Record
from pipeline.steps.cells.matching.near_duplicates import MatchedPair, component_roots


def sets_to_compare(records: Sequence[Record]) -> list[list[int]]:
    """Disjoint sets of image indexes; only images within a set are compared.

    One set of all images if any image has no named group, since it may belong to any group.
    Otherwise one set per group with at least two images, unless each of them names its cell.
    """
    if not all(record.named_group for record in records):
        return [list(range(len(records)))]
    groups: dict[str, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        groups[record.named_group].append(index)
    return [
        indexes
        for _, indexes in sorted(groups.items())
        if len(indexes) > 1 and not all(records[index].cell_hint for index in indexes)
    ]


def assign_group_and_cell(
    records: Sequence[Record], matches: Iterable[MatchedPair]
) -> list[Record]:
    """Copies of the records with group and cell; a name from the archive is never changed.

    An image without a named group takes the group of its matches, and within the group their cell.
    The id of an unnamed group is `g`, that of a cell is `c`, with twelve hex digits of the smallest
    hash of its images.
    """
    roots = component_roots(len(records), matches)
    groups = _group_of_each(records, roots)
    cells = _cell_of_each(records, groups, roots)
    return [
        record.model_copy(update={"group": group, "cell": cell})
        for record, group, cell in zip(records, groups, cells, strict=True)
    ]


def _group_of_each(records: Sequence[Record], roots: Sequence[int]) -> list[str]:
    """Group of each record: its own name, else that of its matches, else an id."""
    components: dict[int, list[Record]] = defaultdict(list)
    for record, root in zip(records, roots, strict=True):
        components[root].append(record)
    group_of = {
        root: min((r.named_group for r in members if r.named_group), default=_id("g", members))
        for root, members in components.items()
    }
    return [r.named_group or group_of[root] for r, root in zip(records, roots, strict=True)]


def _cell_of_each(
    records: Sequence[Record], groups: Sequence[str], roots: Sequence[int]
) -> list[str]:
    """Cell id of each record, within its group."""
    named: dict[tuple[str, int], str] = {}
    for record, group, root in zip(records, groups, roots, strict=True):
        if record.cell_hint:
            name = named.get((group, root), record.cell_hint)
            named[group, root] = min(name, record.cell_hint)
    keys: list[Hashable] = [
        (group, record.cell_hint or named.get((group, root)) or root)
        for record, group, root in zip(records, groups, roots, strict=True)
    ]
    members: dict[Hashable, list[Record]] = defaultdict(list)
    for record, key in zip(records, keys, strict=True):
        members[key].append(record)
    return [_id("c", members[key]) for key in keys]


def _id(letter: str, members: Sequence[Record]) -> str:
    """Id of an unnamed group or cell: a letter, and digits of the smallest hash of its images."""
    return f"{letter}{min(record.sha256 for record in members)[:12]}"
