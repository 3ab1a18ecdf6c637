"""Contradictions: matched images whose labels, group names or parts disagree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pipeline.records import ImageMatch, Quarantined, Record
from pipeline.steps.cells.matching.near_duplicates import MatchedPair, component_roots
from pipeline.steps.dataset.validation_rules import contradicted_reason, quarantine_row

_WEAKEST = 12
"""Matches with the fewest inliers that the report shows, to check `group.min_inliers`."""


@dataclass(frozen=True)
class Contradictions:
    """Matches that contradict a label, a name or a part, and the weakest matches."""

    two_labels: list[ImageMatch]
    """Images of one cell under two classes."""
    two_groups: list[ImageMatch]
    """Images of one cell in two named groups."""
    with_locked: list[ImageMatch]
    """New images of a cell in the locked test part; they join it there."""
    weakest: list[ImageMatch]
    """Matches with the fewest inliers."""


def find_contradictions(
    records: Iterable[Record], matches: Sequence[ImageMatch], locked: AbstractSet[str]
) -> Contradictions:
    """Matches that contradict labels, named groups or the lock, and the weakest matches.

    Args:
        records: the matched images.
        matches: a spanning forest: a cell under two labels has a match between the two.
        locked: hashes of the images in the locked test part.
    """
    by_hash = {record.sha256: record for record in records}

    def differ(match: ImageMatch, column: str) -> bool:
        one, other = (getattr(by_hash[sha256], column) for sha256 in (match.one, match.other))
        return bool(one and other and one != other)

    return Contradictions(
        two_labels=[match for match in matches if differ(match, "label")],
        two_groups=[match for match in matches if differ(match, "named_group")],
        with_locked=[
            match for match in matches if (match.one in locked) != (match.other in locked)
        ],
        weakest=sorted(matches, key=lambda m: (m.inliers, m.one, m.other))[:_WEAKEST],
    )


def contradicted_returns(
    records: Sequence[Record], matches: Iterable[ImageMatch]
) -> list[Quarantined]:
    """Quarantine rows of returned images whose label differs from all archive labels of the cell.

    In a cell without archive labels nothing is contradicted.

    Every API client can return a label. A returned label alone must not remove from training a cell
    on which the archives agree, so only the returned image is quarantined.
    """
    quarantined = []
    for cell in _images_by_cell(records, matches):
        labels = sorted({record.label for record in cell if record.label and not record.returned})
        quarantined += [
            quarantine_row(record, contradicted_reason(labels))
            for record in cell
            if labels and record.returned and record.label not in labels
        ]
    return sorted(quarantined, key=lambda image: (image.reason, image.sha256))


def cells_under_two_labels(
    records: Sequence[Record], matches: Iterable[ImageMatch]
) -> list[Quarantined]:
    """Quarantine rows of all labelled images in the cells with more than one label."""
    quarantined = []
    for cell in _images_by_cell(records, matches):
        labelled = [record for record in cell if record.label]
        labels = sorted({record.label for record in labelled})
        if len(labels) > 1:
            reason = f"the same cell is labelled {' and '.join(labels)}"
            quarantined += [quarantine_row(record, reason) for record in labelled]
    return sorted(quarantined, key=lambda image: (image.reason, image.sha256))


def _images_by_cell(
    records: Sequence[Record], matches: Iterable[ImageMatch]
) -> Iterable[list[Record]]:
    """The images of each cell, joined by cell name or by match, also across groups."""
    index_of = {record.sha256: index for index, record in enumerate(records)}
    pairs = [MatchedPair(index_of[m.one], index_of[m.other], m.inliers) for m in matches]
    first: dict[str, int] = {}
    for index, record in enumerate(records):
        if record.cell:
            pairs.append(MatchedPair(first.setdefault(record.cell, index), index, 0))
    cells: dict[int, list[Record]] = defaultdict(list)
    for record, root in zip(records, component_roots(len(records), pairs), strict=True):
        cells[root].append(record)
    return cells.values()


def without_labels(records: Iterable[Record], rejected: Iterable[Quarantined]) -> list[Record]:
    """All records; the rejected ones have no label, but still connect the images of their cell."""
    hashes = {image.sha256 for image in rejected}
    return [
        record.model_copy(update={"label": ""}) if record.sha256 in hashes else record
        for record in records
    ]


def cells_per_class(
    records: Iterable[Record], quarantined: Iterable[Quarantined], classes: Sequence[str]
) -> dict[str, int]:
    """Number of cells of each class that are not quarantined, in the contract's order."""
    hashes = {image.sha256 for image in quarantined}
    cells = {(r.label, r.cell) for r in records if r.sha256 not in hashes}
    counts = Counter(label for label, _ in cells)
    return {label: counts[label] for label in classes}
