"""Contradictions: what links between images say about their labels, names and parts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pipeline.records import Link, Quarantined, Record
from pipeline.steps.cells.matching.near_duplicates import Tie, unite
from pipeline.steps.dataset.validation_rules import set_aside

_WEAKEST = 12
"""Links with the fewest inliers that the report shows: is the threshold right for these images?"""


@dataclass(frozen=True)
class Findings:
    """What the links between images say about their labels, names and parts."""

    two_labels: list[Link]
    """Images of one cell under two classes."""
    named_apart: list[Link]
    """Images of one cell that their makers put into two groups."""
    of_locked: list[Link]
    """New images of a cell in the locked test part: they go there with it."""
    weakest: list[Link]
    """Those that the fewest keypoints speak for."""


def examine(records: Iterable[Record], links: Sequence[Link], locked: AbstractSet[str]) -> Findings:
    """Sort the links that contradict a label, a hint or a part.

    Args:
        records: the images that links speak of.
        links: a forest over them: each cell under two labels has a link between the two.
        locked: hashes in the locked test part.
    """
    of = {record.sha256: record for record in records}

    def differ(link: Link, column: str) -> bool:
        one, other = (getattr(of[sha256], column) for sha256 in (link.one, link.other))
        return bool(one and other and one != other)

    return Findings(
        two_labels=[link for link in links if differ(link, "label")],
        named_apart=[link for link in links if differ(link, "named_group")],
        of_locked=[link for link in links if (link.one in locked) != (link.other in locked)],
        weakest=sorted(links, key=lambda link: (link.inliers, link.one, link.other))[:_WEAKEST],
    )


def contradicted_returns(records: Sequence[Record], links: Iterable[Link]) -> list[Quarantined]:
    """Images with a returned label that no image of the same cell in the other archives has.

    Whoever may call the service can return a label: alone it must not take from training what the
    makers of the archives agree on.
    """
    aside = []
    for same in _cells(records, links):
        labels = sorted({record.label for record in same if record.label and not record.returned})
        reason = f"a returned label, while the archives say {' and '.join(labels)}"
        aside += [
            set_aside(record, reason)
            for record in same
            if labels and record.returned and record.label not in labels
        ]
    return sorted(aside, key=lambda image: (image.reason, image.sha256))


def disputed(records: Sequence[Record], links: Iterable[Link]) -> list[Quarantined]:
    """All images of every cell that stands under two labels."""
    aside = []
    for same in _cells(records, links):
        labelled = [record for record in same if record.label]
        labels = sorted({record.label for record in labelled})
        if len(labels) > 1:
            reason = f"the same cell is labelled {' and '.join(labels)}"
            aside += [set_aside(record, reason) for record in labelled]
    return sorted(aside, key=lambda image: (image.reason, image.sha256))


def _cells(records: Sequence[Record], links: Iterable[Link]) -> Iterable[list[Record]]:
    """Images of one cell by name or by a link, also where a link joins two groups' images."""
    place = {record.sha256: number for number, record in enumerate(records)}
    ties = [Tie(place[link.one], place[link.other], link.inliers) for link in links]
    first: dict[str, int] = {}
    for number, record in enumerate(records):
        if record.cell:
            ties.append(Tie(first.setdefault(record.cell, number), number, 0))
    cells: dict[int, list[Record]] = defaultdict(list)
    for record, root in zip(records, unite(len(records), ties), strict=True):
        cells[root].append(record)
    return cells.values()


def unlabelled(records: Iterable[Record], which: Iterable[Quarantined]) -> list[Record]:
    """All records, those of `which` without their label: they still tell which images are one."""
    refused = {image.sha256 for image in which}
    return [
        record.model_copy(update={"label": ""}) if record.sha256 in refused else record
        for record in records
    ]


def cells_left(
    records: Iterable[Record], aside: Iterable[Quarantined], classes: Sequence[str]
) -> dict[str, int]:
    """Cells of each class that are not set aside, in the contract's order."""
    refused = {image.sha256 for image in aside}
    kept = {(r.label, r.cell) for r in records if r.sha256 not in refused}
    counts = Counter(label for label, _ in kept)
    return {label: counts[label] for label in classes}
