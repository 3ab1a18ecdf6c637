"""Split: groups are assigned to train, validation, test and reserve, and none is ever cut."""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest, SplitManifest
from pipeline.config import RunConfig
from pipeline.records import Quarantined, Record, from_csv, to_csv
from pipeline.run import RunContext
from pipeline.steps.cells.assignment import assign, groups_in
from pipeline.steps.cells.group import LOCKED
from pipeline.steps.cells.lock import LockedImage, LockedImages, extend_lock
from pipeline.steps.dataset.validation_rules import quarantine

_log = logging.getLogger(__name__)

_UNTRUSTED = "its label was returned through the service and it shows a cell of the test part"


def split(
    grouping: Artifact[GroupingManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[SplitManifest]:
    """Assign a dataset's groups; a group of which any image was once tested on is test for ever.

    That holds for images that have left the dataset, too: `locked.csv` of the grouping names them.

    A label that came back through the service is no truth to test on. Groups of which no archive's
    maker labelled an image are assigned to train and validation. A returned image of a test group
    is locked, so that it is never trained on, but not scored: `quarantine.csv` lists it.

    Raises:
        InvalidInputError: when a class has too few groups for three parts.
        ConflictError: when other runs keep extending the lock meanwhile.
    """
    _log.info("split: %s", grouping.uri)
    records = store.records(grouping)
    away = from_csv(store.read(grouping, LOCKED).decode(), Record)
    assigned = _assign_and_lock(records, away, config, store)
    if config.split.reserve_share and (classes := without_reserve(assigned)):
        _log.warning("split: too few cells for a reserve: %s", ", ".join(classes))
    kept = [record for record in assigned if not _untrusted(record)]
    aside = [quarantine(record, _UNTRUSTED) for record in assigned if _untrusted(record)]
    if aside:
        _log.warning("split: %d images set aside: %s", len(aside), _UNTRUSTED)
    manifest = SplitManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"grouping": grouping.uri},
        counts=_counts(kept) | ({"quarantined": len(aside)} if aside else {}),
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-split-") as name:
        folder = Path(name)
        (folder / "records.csv").write_text(to_csv(kept, Record))
        (folder / "quarantine.csv").write_text(to_csv(aside, Quarantined))
        artifact = store.publish(folder, manifest)
    _log.info("split: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def without_reserve(records: Iterable[Record]) -> list[str]:
    """Classes of which no image is in the reserve."""
    labels, reserved = set(), set()
    for record in records:
        labels.add(record.label)
        reserved |= {record.label} if record.part == "reserve" else set()
    return sorted(labels - reserved)


def _assign_and_lock(
    records: Sequence[Record], away: Sequence[Record], config: RunConfig, store: ArtifactStore
) -> list[Record]:
    """Assign by the lock as it stands, and extend it; again when another run extended it first."""
    groups = groups_in(records)

    def assigned(lock: LockedImages) -> list[Record]:
        held = {r.group for r in (*records, *away) if r.sha256 in lock.images} | lock.groups
        parts = assign(groups, config.split, held, seed=config.name)
        return [record.model_copy(update={"part": parts[record.group]}) for record in records]

    def tested(lock: LockedImages) -> dict[str, LockedImage]:
        return {r.sha256: LockedImage.of(r) for r in assigned(lock) if r.part == "test"}

    return assigned(extend_lock(config.name, tested, store))


def _counts(records: Sequence[Record]) -> dict[str, int]:
    images = Counter(str(record.part) for record in records)
    groups = Counter(f"{part}_groups" for part, _ in {(str(r.part), r.group) for r in records})
    cells = Counter(f"{part}_cells" for part, _ in {(str(r.part), r.cell) for r in records})
    return dict(sorted((images + groups + cells).items()))


def _untrusted(record: Record) -> bool:
    return record.part == "test" and record.returned
