"""Assignment of groups to train, validation, test and reserve: no group is ever cut."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pipeline.config import SplitConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Part, Record

_PARTS: tuple[Part, ...] = ("test", "val", "train")
"""Parts that every class must be in; the reserve takes only what a class has to spare."""
Parts = dict[str, Part]
Classes = Mapping[str, Sequence["Group"]]
"""Class to the groups that hold it, in the order of `_place`."""


@dataclass(frozen=True)
class Group:
    """A slide, a patient or a source cell, as far as its assignment is concerned."""

    id: str
    images: Mapping[str, int]
    """Class to number of its images."""
    returned: Mapping[str, int] = field(default_factory=dict)
    """The same of those whose label came back through the service."""

    @property
    def label(self) -> str:
        """The class of most of its images (ties by name)."""
        return min(self.images, key=lambda label: (-self.images[label], label))

    def weight(self, label: str, part: Part) -> int:
        """Images of a class that count in a part: a returned label is no truth to test on."""
        returned = self.returned.get(label, 0) if part == "test" else 0
        return self.images.get(label, 0) - returned


def groups_in(records: Iterable[Record]) -> list[Group]:
    """The groups of records, in order of name."""
    images: dict[str, Counter[str]] = defaultdict(Counter)
    returned: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        images[record.group][record.label] += 1
        returned[record.group][record.label] += record.returned
    return [Group(name, images[name], returned[name]) for name in sorted(images)]


def assign(
    groups: Sequence[Group], shares: SplitConfig, locked: AbstractSet[str], *, seed: str
) -> Parts:
    """Give each group its part, class by class, the class of the fewest groups first.

    Groups stand in the order of a hash of `seed` and their name: those in front make up the test
    part, the next ones the reserve, then validation, the rest train. So when others arrive, only
    groups at a border change sides, and the locked ones never do. Shares are of images, so that a
    class whose groups differ in size keeps its share too; a group larger than the room left is
    passed over.

    Args:
        groups: at least three of each class.
        shares: of each class's images.
        locked: names of groups that are in the test part for ever.
        seed: name of the dataset.

    Returns:
        Group to part; every class has a group in every part but the reserve, and in the test part
        one with images that an archive's maker labelled.

    Raises:
        InvalidInputError: when a class has too few groups, or too few that are not locked.
    """
    classes: dict[str, list[Group]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: _place(seed, group.id)):
        for label in group.images:
            classes[label].append(group)
    parts: Parts = {group.id: "test" for group in groups if group.id in locked}
    order = sorted(classes, key=lambda label: (len(classes[label]), label))
    for label in order:
        _assign_class(label, classes[label], shares, parts)
    for label in order:
        _fill(label, classes, parts, locked)
    for label in order:
        _check(label, classes[label], parts, locked)
    return parts


def _place(seed: str, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()


def _lacks(label: str, members: Sequence[Group], parts: Parts) -> list[Part]:
    """Parts in which no group of a class is, in the order in which they are filled."""
    return [
        part
        for part in _PARTS
        if not any(parts.get(g.id) == part and g.weight(label, part) for g in members)
    ]


def _assign_class(label: str, members: Sequence[Group], shares: SplitConfig, parts: Parts) -> None:
    """Give a part to the groups of a class that another class has not given one."""
    _take(label, members, "test", shares.test_share, parts)
    _take(label, members, "reserve", shares.reserve_share, parts)
    _take(label, members, "val", shares.val_share, parts)
    parts.update({group.id: "train" for group in members if group.id not in parts})


def _take(label: str, members: Sequence[Group], part: Part, share: float, parts: Parts) -> None:
    """Fill a part with groups from the front that fit (a group fits when at least half of it does).

    One at least is taken where the part has none; as many are left as other parts have none.
    """
    weights = {group.id: group.weight(label, part) for group in members}
    free = [group.id for group in members if group.id not in parts]
    able = [name for name in free if weights[name]]
    lacking = _lacks(label, members, parts)
    spare = len(free) - sum(other != part for other in lacking)
    room = share * sum(weights.values())
    room -= sum(weights[name] for name in weights if parts.get(name) == part)
    taken: list[str] = []
    for name in able:
        if len(taken) < spare and weights[name] / 2 <= room:
            taken.append(name)
            room -= weights[name]
    if not taken and part in lacking and able:
        taken = [min(able, key=weights.__getitem__)]
    parts.update(dict.fromkeys(taken, part))


def _fill(label: str, classes: Classes, parts: Parts, locked: AbstractSet[str]) -> None:
    """Move a group into each part that a class lacks, where no class loses its last group by it."""
    for part in _lacks(label, classes[label], parts):
        for group in classes[label]:
            moved: Parts = {**parts, group.id: part}
            lost = any(
                set(_lacks(other, classes[other], moved))
                - set(_lacks(other, classes[other], parts))
                for other in group.images
            )
            if group.id not in locked and group.weight(label, part) and not lost:
                parts[group.id] = part
                break


def _check(label: str, members: Sequence[Group], parts: Parts, locked: AbstractSet[str]) -> None:
    lacking = _lacks(label, members, parts)
    if lacking:
        held = sum(group.id in locked for group in members)
        returned = sum(not group.weight(label, "test") for group in members)
        raise InvalidInputError(
            f"class {label} has too few groups to split, none is left for {' and '.join(lacking)}: "
            "add images of other cells",
            expected="at least 3 groups (slides, patients or source cells), 2 of them outside the "
            "locked test part and one to test on that an archive's maker labelled",
            received=f"{len(members)} groups, {held} of them locked"
            + (f", {returned} labelled through the service only" if returned else ""),
        )
