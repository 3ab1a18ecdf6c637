"""Split: groups are dealt into train, validation, test and reserve, and none is ever cut."""

import hashlib
import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest, SplitManifest
from pipeline.config import RunConfig, SplitConfig
from pipeline.errors import ConflictError, InvalidInputError
from pipeline.records import Part, Record, from_csv, to_csv
from pipeline.run import RunContext
from pipeline.steps.group import LOCKED
from pipeline.steps.lock import extend_lock, read_lock

_log = logging.getLogger(__name__)

_ATTEMPTS = 5
"""How often another run may extend the lock while this one deals."""


@dataclass(frozen=True)
class Group:
    """The images of one cell, as far as dealing is concerned."""

    id: str
    label: str
    """The class of most of its images."""
    images: int


def split(
    grouping: Artifact[GroupingManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[SplitManifest]:
    """Deal a dataset's groups; a group of which any image was once tested on is test for ever.

    That holds for images that have left the dataset, too: `locked.csv` of the grouping names them.

    Raises:
        InvalidInputError: when a class has too few groups for three parts.
        ConflictError: when other runs keep extending the lock meanwhile.
    """
    _log.info("split: %s", grouping.uri)
    records = store.records(grouping)
    away = from_csv(store.read(grouping, LOCKED).decode(), Record)
    dealt = _deal_and_lock(records, away, config, store)
    if config.split.reserve_share and (classes := without_reserve(dealt)):
        _log.warning("split: too few cells for a reserve: %s", ", ".join(classes))
    manifest = SplitManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"grouping": grouping.uri},
        counts=_counts(dealt),
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-split-") as folder:
        (Path(folder) / "records.csv").write_text(to_csv(dealt, Record))
        artifact = store.publish(Path(folder), manifest)
    _log.info("split: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def groups_in(records: Iterable[Record]) -> list[Group]:
    """The groups of records, each with the class of most of its images (ties by name)."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        labels[record.group][record.label] += 1
    return [
        Group(group, min(counts, key=lambda label: (-counts[label], label)), counts.total())
        for group, counts in sorted(labels.items())
    ]


def without_reserve(records: Iterable[Record]) -> list[str]:
    """Classes of which no image is in the reserve."""
    labels, reserved = set(), set()
    for record in records:
        labels.add(record.label)
        reserved |= {record.label} if record.part == "reserve" else set()
    return sorted(labels - reserved)


def deal(
    groups: Sequence[Group], shares: SplitConfig, locked: AbstractSet[str], *, seed: str
) -> dict[str, Part]:
    """Give each group its part, class by class.

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
        Group to part; every class has at least one group in every part but the reserve, which a
        class enters only with groups that it has to spare.

    Raises:
        InvalidInputError: when a class has too few groups, or too few that are not locked.
    """
    classes: dict[str, list[Group]] = defaultdict(list)
    for group in sorted(groups, key=lambda group: _place(seed, group.id)):
        classes[group.label].append(group)
    parts: dict[str, Part] = {}
    for label in sorted(classes):
        parts |= _deal_class(label, classes[label], shares, locked)
    return parts


def _place(seed: str, group: str) -> str:
    return hashlib.sha256(f"{seed}:{group}".encode()).hexdigest()


def _deal_class(
    label: str, members: Sequence[Group], shares: SplitConfig, locked: AbstractSet[str]
) -> dict[str, Part]:
    held = [group for group in members if group.id in locked]
    free = [group for group in members if group.id not in locked]
    if len(free) < (2 if held else 3):
        raise InvalidInputError(
            f"class {label} has too few groups to split",
            expected="at least 3 groups (source cells), 2 of them outside the locked test part",
            received=f"{len(members)} groups, {len(held)} of them locked",
        )
    total = sum(group.images for group in members)
    room = shares.test_share * total - sum(group.images for group in held)
    test = [*held, *_take(free, room, at_least=0 if held else 1, leave=2)]
    rest = [group for group in free if group not in test]
    reserve = _take(rest, shares.reserve_share * total, at_least=0, leave=2)
    rest = [group for group in rest if group not in reserve]
    val = _take(rest, shares.val_share * total, at_least=1, leave=1)
    parts: dict[str, Part] = {group.id: "train" for group in rest}
    parts |= dict.fromkeys(_ids(reserve), "reserve")
    return parts | dict.fromkeys(_ids(val), "val") | dict.fromkeys(_ids(test), "test")


def _take(order: Sequence[Group], room: float, *, at_least: int, leave: int) -> list[Group]:
    """Groups from the front that fit the room (a group fits when at least half of it does)."""
    taken: list[Group] = []
    for group in order:
        if len(order) - len(taken) > leave and group.images / 2 <= room:
            taken.append(group)
            room -= group.images
    if len(taken) < at_least:
        taken = [min(order, key=lambda group: group.images)]
    return taken


def _ids(groups: Iterable[Group]) -> list[str]:
    return [group.id for group in groups]


def _deal_and_lock(
    records: Sequence[Record], away: Sequence[Record], config: RunConfig, store: ArtifactStore
) -> list[Record]:
    """Deal by the lock as it stands, and extend it; from the top when another run was faster."""
    groups = groups_in(records)
    for _ in range(_ATTEMPTS):
        lock = read_lock(config.name, store)
        held = {r.group for r in (*records, *away) if r.sha256 in lock.images}
        parts = deal(groups, config.split, held, seed=config.name)
        dealt = [record.model_copy(update={"part": parts[record.group]}) for record in records]
        tested = {record.sha256: record.archive for record in dealt if record.part == "test"}
        try:
            extend_lock(config.name, lock, tested, store)
        except ConflictError:
            _log.info("split: another run extended the test lock; dealing again")
            continue
        return dealt
    raise ConflictError(f"the test lock of {config.name} changed {_ATTEMPTS} times meanwhile")


def _counts(records: Sequence[Record]) -> dict[str, int]:
    images = Counter(str(record.part) for record in records)
    groups = Counter(f"{part}_groups" for part, _ in {(str(r.part), r.group) for r in records})
    return dict(sorted((images + groups).items()))
