"""Group: every image learns which cell it shows, so that no cell is on both sides of a split."""

import csv
import hashlib
import io
import json
import logging
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    ArchiveManifest,
    Artifact,
    DatasetManifest,
    GroupingManifest,
    canonical_json,
)
from pipeline.config import RunConfig
from pipeline.contract.decoding import decode
from pipeline.errors import ArtifactError
from pipeline.records import Link, Record, to_csv
from pipeline.run import RunContext
from pipeline.steps.images import read_images
from pipeline.steps.lock import LockedImages, read_lock
from pipeline.steps.near_duplicates import Tie, find_ties, unite
from pipeline.steps.view import View, view

LINKS, LOCKED = "links.csv", "locked.csv"
_BATCH = 500
_SEARCH = 1
"""Changes whenever `find_ties` or `view` could tie other images."""

_log = logging.getLogger(__name__)


def group(
    dataset: Artifact[DatasetManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    """Name the cell of every record.

    A hint (a manifest column or a file-name pattern) is the group, also across archives: who says
    the same name means the same cell. Where an image has none, all are compared with each other,
    and with images of the locked test part that are in no archive of this dataset: a copy of a
    locked cell must go where the cell is.
    """
    _log.info("group: %s", dataset.uri)
    records = store.records(dataset)
    hinted = sum(bool(record.hint) for record in records)
    looked_at, ties = records, list[Tie]()
    if hinted < len(records):
        away = elsewhere(records, read_lock(config.name, store), store)
        looked_at = sorted([*records, *away], key=lambda record: record.sha256)
        ties = _ties(looked_at, config, store)
    named = name_groups(looked_at, ties)
    artifact = _publish(named, ties, dataset, config, store=store, run=run)
    _log.info("group: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def _ties(looked_at: Sequence[Record], config: RunConfig, store: ArtifactStore) -> list[Tie]:
    """What comparing these images found, now or when the same ones were compared before."""
    hashes = [record.sha256 for record in looked_at]
    said = canonical_json([_SEARCH, cv2.__version__, config.group.min_inliers, hashes])
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    uri = f"{store.root}/ties/{config.name}/{key}.json"
    found = store.objects.read_tagged(uri)
    if found is not None:
        _log.info("group: these %d images were compared before", len(hashes))
        return [Tie(*numbers) for numbers in json.loads(found[0])]
    ties = find_ties(_views(looked_at, store), config.group.min_inliers)
    store.objects.write(uri, json.dumps(ties).encode())
    return ties


def write_groups_csv(records: Iterable[Record]) -> str:
    """`file,label,group` in order of file: what `leukoflow group` hands out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "label", "group"])
    ordered = sorted(records, key=lambda record: (record.file, record.sha256))
    writer.writerows([record.file, record.label, record.group] for record in ordered)
    return out.getvalue()


def name_groups(records: Sequence[Record], ties: Iterable[Tie]) -> list[Record]:
    """Records with their group: the hint, else one of an image that shows the same cell.

    A cell that nobody named is `g` and twelve hex digits of the smallest hash of its images.
    """
    members: dict[int, list[Record]] = defaultdict(list)
    roots = unite(len(records), ties)
    for record, root in zip(records, roots, strict=True):
        members[root].append(record)
    names = {root: _name(same) for root, same in members.items()}
    grouped = [
        (record, record.hint or names[root]) for record, root in zip(records, roots, strict=True)
    ]
    return [record.model_copy(update={"group": group, "cell": group}) for record, group in grouped]


def elsewhere(records: Iterable[Record], lock: LockedImages, store: ArtifactStore) -> list[Record]:
    """Locked images that these records lack, without a label, where their archives still stand."""
    here = {record.sha256 for record in records}
    away = [
        Record(sha256=sha256, label="", file="", archive=archive)
        for sha256, archive in sorted(lock.archives.items())
        if archive and sha256 not in here
    ]
    standing = {archive: _stands(archive, store) for archive in {r.archive for r in away}}
    return [record for record in away if standing[record.archive]]


def _name(same: Sequence[Record]) -> str:
    hints = [record.hint for record in same if record.hint]
    return min(hints) if hints else f"g{min(record.sha256 for record in same)[:12]}"


def _stands(archive: str, store: ArtifactStore) -> bool:
    try:
        store.open(archive, ArchiveManifest)
    except ArtifactError as error:
        _log.warning("group: locked images cannot be compared with: %s", error)
        return False
    return True


def _views(records: Sequence[Record], store: ArtifactStore) -> list[View]:
    """What the search needs of each image; a batch of pixels is in memory at a time."""

    def look(found: tuple[Record, bytes]) -> tuple[str, View]:
        record, data = found
        return record.sha256, view(decode(data))

    views: dict[str, View] = {}
    images = read_images(store, records)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(images, _BATCH)):
            views.update(pool.map(look, batch))
            _log.info("group: looked at %d of %d images", len(views), len(records))
    return [views[record.sha256] for record in records]


def _publish(
    named: Sequence[Record],
    ties: Iterable[Tie],
    dataset: Artifact[DatasetManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    # What was fetched from the lock's archives was labelled elsewhere.
    records = [record for record in named if record.label]
    groups = {record.group for record in records}
    locked = [r for r in named if not r.label and r.group in groups]
    links = [Link(one=named[i].sha256, other=named[j].sha256, inliers=n) for i, j, n in ties]
    hinted = sum(bool(record.hint) for record in records)
    manifest = GroupingManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"dataset": dataset.uri},
        counts={"images": len(records), "groups": len(groups), "hinted": hinted},
        method=_method(hinted, len(records), config),
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-grouping-") as name:
        folder = Path(name)
        (folder / "records.csv").write_text(to_csv(records, Record))
        (folder / LINKS).write_text(to_csv(links, Link))
        (folder / LOCKED).write_text(to_csv(locked, Record))
        return store.publish(folder, manifest)


def _method(hinted: int, total: int, config: RunConfig) -> str:
    searched = f"SIFT, affine map with {config.group.min_inliers} inliers"
    if hinted == total:
        return "hints"
    return f"hints, else {searched}" if hinted else searched
