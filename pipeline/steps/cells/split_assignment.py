"""Decides which part of the split each group enters: train, validation, test or reserve."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from pipeline.config.split_shares import SplitConfig
from pipeline.digests import sha256_bytes
from pipeline.errors import InvalidInputError
from pipeline.records import Part, Record

_PARTS: tuple[Part, ...] = ("test", "val", "train")
"""Parts that every class needs, in the order in which they are filled; the reserve is optional."""
_NAMED_GROUPS = 5
"""Groups that an error names."""
Parts = dict[str, Part]
"""Group to part."""
Classes = Mapping[str, Sequence["Group"]]
"""Class to the groups with images of it, in the order of assignment."""


@dataclass(frozen=True)
class Group:
    """A slide, a patient or a source cell, with its number of images per class."""

    id: str
    images: Mapping[str, int]
    """Class to number of its images."""
    returned: Mapping[str, int] = field(default_factory=dict)
    """Class to number of images with a returned label."""

    @property
    def label(self) -> str:
        """The most frequent class, the first by name among equals."""
        return min(self.images, key=lambda label: (-self.images[label], label))

    def images_for(self, label: str, part: Part) -> int:
        """Number of images of a class that count for a part; for test, not the returned labels."""
        returned = self.returned.get(label, 0) if part == "test" else 0
        return self.images.get(label, 0) - returned


def groups_in(records: Iterable[Record]) -> list[Group]:
    """The groups of the records with their number of images per class, sorted by name."""
    images: dict[str, Counter[str]] = defaultdict(Counter)
    returned: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        images[record.group][record.label] += 1
        returned[record.group][record.label] += record.returned
    return [Group(name, images[name], returned[name]) for name in sorted(images)]


def assign(
    groups: Sequence[Group], shares: SplitConfig, locked: AbstractSet[str], *, seed: str
) -> Parts:
    """Assign each group to a part, class by class, starting with the class of the fewest groups.

    Groups are sorted by a hash of `seed` and their name: the first ones become the test part, then
    the reserve, validation and train. New groups therefore move only groups at a border between two
    parts, and never a locked one. Shares count images, so that classes with groups of different
    sizes keep their shares, too; a group that exceeds the remaining share is skipped.

    Args:
        groups: at least three of each class.
        shares: share of each part in a class's images.
        locked: names of groups that stay in the test part for ever.
        seed: name of the dataset.

    Returns:
        Every class has a group in every part except the reserve; its test groups include images
        with an archive's label.

    Raises:
        InvalidInputError: when classes have too few groups, or too few that are not locked; names
            every such class.
    """
    classes: dict[str, list[Group]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: sha256_bytes(f"{seed}:{group.id}".encode())):
        for label in group.images:
            classes[label].append(group)
    parts: Parts = {group.id: "test" for group in groups if group.id in locked}
    order = sorted(classes, key=lambda label: (len(classes[label]), label))
    for label in order:
        _assign_class(label, classes[label], shares, parts)
    for label in order:
        _fill_missing_parts(label, classes, parts, locked)
    _require_all_parts(classes, parts, locked)
    return parts


def _missing_parts(label: str, members: Sequence[Group], parts: Parts) -> list[Part]:
    """Required parts without a group of the class, in the order in which they are filled."""
    return [
        part
        for part in _PARTS
        if not any(parts.get(g.id) == part and g.images_for(label, part) for g in members)
    ]


def _assign_class(label: str, members: Sequence[Group], shares: SplitConfig, parts: Parts) -> None:
    """Add to `parts` the groups of a class that no other class has assigned yet."""
    _fill_part(label, members, "test", shares.test_share, parts)
    _fill_part(label, members, "reserve", shares.reserve_share, parts)
    _fill_part(label, members, "val", shares.val_share, parts)
    parts.update({group.id: "train" for group in members if group.id not in parts})


def _fill_part(
    label: str, members: Sequence[Group], part: Part, share: float, parts: Parts
) -> None:
    """Add groups to `parts`, in order, until the share of `part` is reached; skips too large ones.

    A group fits if half of it does. A part without a group of the class gets at least one; one
    group is left for each other missing part.
    """
    weights = {group.id: group.images_for(label, part) for group in members}
    free = [group.id for group in members if group.id not in parts]
    eligible = [name for name in free if weights[name]]
    missing = _missing_parts(label, members, parts)
    spare = len(free) - sum(other != part for other in missing)
    remaining = share * sum(weights.values())
    remaining -= sum(weights[name] for name in weights if parts.get(name) == part)
    taken: list[str] = []
    for name in eligible:
        if len(taken) < spare and weights[name] / 2 <= remaining:
            taken.append(name)
            remaining -= weights[name]
    if not taken and part in missing and eligible:
        taken = [min(eligible, key=weights.__getitem__)]
    parts.update(dict.fromkeys(taken, part))


def _fill_missing_parts(
    label: str, classes: Classes, parts: Parts, locked: AbstractSet[str]
) -> None:
    """Move a group, in `parts`, into each part that the class lacks, unless a class loses one."""
    for part in _missing_parts(label, classes[label], parts):
        for group in classes[label]:
            moved: Parts = {**parts, group.id: part}
            loses_a_part = any(
                set(_missing_parts(other, classes[other], moved))
                - set(_missing_parts(other, classes[other], parts))
                for other in group.images
            )
            if group.id not in locked and group.images_for(label, part) and not loses_a_part:
                parts[group.id] = part
                break


def _require_all_parts(classes: Classes, parts: Parts, locked: AbstractSet[str]) -> None:
    """Raise InvalidInputError, with every class that has no group in a required part."""
    missing = {label: _missing_parts(label, classes[label], parts) for label in sorted(classes)}
    short = {label: lacking for label, lacking in missing.items() if lacking}
    if not short:
        return
    problems = [
        f"class {label} has too few groups to split, none is left for {' and '.join(lacking)}: "
        f"it has {_names(classes[label])}"
        for label, lacking in short.items()
    ]
    counts = {label: _count(label, classes[label], locked) for label in short}
    named = [f"{label} {count}" for label, count in counts.items()]
    raise InvalidInputError(
        f"{'; '.join(problems)}; add images of other slides, patients or cells, or leave the class "
        "out of contract.classes",
        expected="at least 3 groups (slides, patients or source cells), 2 of them outside the "
        "locked test part, and one for the test part with a label from an archive",
        received="; ".join(named if len(named) > 1 else counts.values()),
    )


def _count(label: str, members: Sequence[Group], locked: AbstractSet[str]) -> str:
    """Number of a class's groups, also of those that cannot enter every part."""
    n_locked = sum(group.id in locked for group in members)
    n_returned = sum(not group.images_for(label, "test") for group in members)
    returned = f", {n_returned} with returned labels only" if n_returned else ""
    return f"{len(members)} groups, {n_locked} of them locked{returned}"


def _names(groups: Sequence[Group]) -> str:
    """Names of the groups, at most five."""
    more = " and others" if len(groups) > _NAMED_GROUPS else ""
    return ", ".join(group.id for group in groups[:_NAMED_GROUPS]) + more
