"""Split: assign whole groups to the train, validation, test and reserve part; extend the lock."""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest, SplitManifest
from pipeline.config.run_config import RunConfig
from pipeline.errors import InvalidInputError
from pipeline.records import FITTED, Quarantined, Record, from_csv, to_csv
from pipeline.run_context import RunContext
from pipeline.statistics.folds import balanced_folds
from pipeline.steps.cells.group import LOCKED
from pipeline.steps.cells.locked_images import LockedImage, LockedImages, extend_lock
from pipeline.steps.cells.split_assignment import assign, groups_in
from pipeline.steps.dataset.validation_rules import quarantine_row

_log = logging.getLogger(__name__)

_RETURNED_TEST = "the label was returned through the service and the cell is in the test part"


def split(
    grouping: Artifact[GroupingManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[SplitManifest]:
    """Assign groups to parts, lock the test images, and publish `records.csv`, `quarantine.csv`.

    A group with a locked image stays in the test part for ever, also if that image has left the
    dataset (`locked.csv` of the grouping).

    Returned labels are not used for testing. A group with returned labels alone is assigned to
    train or validation. A returned image of a test group is locked (never trained on) and
    quarantined (not scored).

    Raises:
        InvalidInputError: when a class has too few groups for three parts or two folds.
        ConflictError: when other runs keep extending the lock.
    """
    _log.info("split: %s", grouping.uri)
    records = store.records(grouping)
    locked = from_csv(store.read(grouping, LOCKED).decode(), Record)
    assigned = _assign_and_lock(records, locked, config, store)
    if config.split.reserve_share and (classes := classes_without_reserve(assigned)):
        _log.warning("split: no reserve for classes with too few cells: %s", ", ".join(classes))
    kept = [record for record in assigned if not _is_returned_test(record)]
    quarantined = [quarantine_row(r, _RETURNED_TEST) for r in assigned if _is_returned_test(r)]
    if quarantined:
        _log.warning("split: quarantined %d images: %s", len(quarantined), _RETURNED_TEST)
    manifest = SplitManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"grouping": grouping.uri},
        counts=_counts(kept) | ({"quarantined": len(quarantined)} if quarantined else {}),
    )
    files = {
        "records.csv": to_csv(kept, Record),
        "quarantine.csv": to_csv(quarantined, Quarantined),
    }
    artifact = store.publish_texts(files, manifest)
    _log.info("split: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def require_folds(records: Iterable[Record], config: RunConfig) -> None:
    """Raise InvalidInputError, with every class that training cannot fit.

    The split calls it, so that no features are computed in vain.

    A head on region means is cross-fitted: each fold is predicted by a head that was fitted to the
    others, so every class needs groups in two folds.
    """
    fitted = [record for record in records if record.part in FITTED]
    names, classes = sorted({record.group for record in fitted}), config.contract.classes
    contains = np.zeros((len(names), len(classes)), bool)
    for record in fitted:
        contains[bisect_left(names, record.group), classes.index(record.label)] = True
    folds = balanced_folds(contains, config.train.folds)
    required = 2 if config.features.keep == "regions" else 1
    received = {
        label: ", ".join(np.array(names)[of_class]) or "no group"
        for label, of_class in zip(classes, contains.T, strict=True)
        if len(np.unique(folds[of_class])) < required
    }
    if received:
        several = len(received) > 1
        lines = [f"{label} {groups}" for label, groups in received.items()]
        raise InvalidInputError(
            f"class{'es' if several else ''} {', '.join(received)} cannot be trained on: training "
            "and validation groups are in too few folds; add images of other slides, patients or "
            "cells",
            expected=f"groups (slides, patients or source cells) in {required} of "
            f"{config.train.folds} folds",
            received="; ".join(lines if several else received.values()),
        )


def classes_without_reserve(records: Iterable[Record]) -> list[str]:
    """Classes without an image in the reserve."""
    labels, reserved = set(), set()
    for record in records:
        labels.add(record.label)
        reserved |= {record.label} if record.part == "reserve" else set()
    return sorted(labels - reserved)


def _assign_and_lock(
    records: Sequence[Record], locked: Sequence[Record], config: RunConfig, store: ArtifactStore
) -> list[Record]:
    """Write the test images to the lock and return the records with their part."""
    groups = groups_in(records)

    def assigned(lock: LockedImages) -> list[Record]:
        test = {r.group for r in (*records, *locked) if r.sha256 in lock.hashes} | lock.groups
        parts = assign(groups, config.split, test, seed=config.name)
        with_part = [r.model_copy(update={"part": parts[r.group]}) for r in records]
        require_folds(with_part, config)
        return with_part

    def tested(lock: LockedImages) -> dict[str, LockedImage]:
        return {r.sha256: LockedImage.of(r) for r in assigned(lock) if r.part == "test"}

    return assigned(extend_lock(config.name, tested, store))


def _counts(records: Sequence[Record]) -> dict[str, int]:
    images = Counter(str(record.part) for record in records)
    groups = Counter(f"{part}_groups" for part, _ in {(str(r.part), r.group) for r in records})
    cells = Counter(f"{part}_cells" for part, _ in {(str(r.part), r.cell) for r in records})
    return dict(sorted((images + groups + cells).items()))


def _is_returned_test(record: Record) -> bool:
    return record.part == "test" and record.returned
