"""Group: give every image its group and its cell, so that no cell is on both sides of a split."""

import csv
import io
import json
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import cv2

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import (
    ArchiveManifest,
    Artifact,
    DatasetManifest,
    GroupingManifest,
    content_uri,
)
from pipeline.config.run_config import RunConfig
from pipeline.contract.decoding import decode
from pipeline.digests import canonical_json, sha256_bytes
from pipeline.errors import ArtifactError
from pipeline.records import ImageMatch, Record, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.cells.group_and_cell import assign_group_and_cell, sets_to_compare
from pipeline.steps.cells.locked_images import LockedImages, read_lock
from pipeline.steps.cells.matching.fingerprint import Fingerprint, extract_fingerprint
from pipeline.steps.cells.matching.near_duplicates import MatchedPair, component_roots, find_matches

MATCHES, LOCKED = "links.csv", "locked.csv"
"""Files of the artefact: matched images, and locked images of earlier archives."""
_BATCH = 500
_SEARCH = 2
"""Version of the search in the cache key: increase it when `find_matches` may return other matches
for the same images, or when the key gets another field."""

_log = logging.getLogger(__name__)


def group(
    dataset: Artifact[DatasetManifest], config: RunConfig, *, store: ArtifactStore, run: RunContext
) -> Artifact[GroupingManifest]:
    """Publish every record with its group and cell, and the matches that were found between images.

    A name from `manifest.csv` or the file-name pattern is valid across archives: the same name is
    the same group. Unnamed images are compared with each other and with the locked test images of
    earlier archives, because a copy of a locked cell must join it in the test part.
    """
    _log.info("group: %s", dataset.uri)
    records = store.records(dataset)
    absent = locked_elsewhere(records, read_lock(config.name, store), store)
    compared = sorted([*records, *_locked_to_compare(absent, records)], key=lambda r: r.sha256)
    sets = sets_to_compare(compared)
    matches = _cached_matches(compared, sets, config, store) if sets else []
    named = assign_group_and_cell(compared, matches)
    manifest = GroupingManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"dataset": content_uri(dataset)},
        method=_describe_method(records, searched=bool(sets), config=config),
    )
    artifact = _publish(named, matches, manifest, store)
    _log.info("group: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def groups_csv(records: Iterable[Record]) -> str:
    """The CSV of `leukoflow group`: columns `file,label,group,cell`, sorted by file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "label", "group", "cell"])
    ordered = sorted(records, key=lambda record: (record.file, record.sha256))
    writer.writerows([record.file, record.label, record.group, record.cell] for record in ordered)
    return out.getvalue()


def locked_elsewhere(
    records: Iterable[Record], lock: LockedImages, store: ArtifactStore
) -> list[Record]:
    """Locked images not in `records`, without label; skips unreadable archives with a warning."""
    present = {record.sha256 for record in records}
    absent = [
        Record(sha256=sha256, label="", file="", archive=image.archive, hint=image.group)
        for sha256, image in sorted(lock.by_hash.items())
        if image.archive and sha256 not in present
    ]
    readable = {archive: _is_readable(archive, store) for archive in {r.archive for r in absent}}
    return [record for record in absent if readable[record.archive]]


def _is_readable(archive: str, store: ArtifactStore) -> bool:
    """Whether the artefact of an archive can be opened; logs a warning if not."""
    try:
        store.open(archive, ArchiveManifest)
    except ArtifactError as error:
        _log.warning("group: skipped the locked images of an archive: %s", error)
        return False
    return True


def _locked_to_compare(absent: Sequence[Record], records: Sequence[Record]) -> Sequence[Record]:
    """Locked images to compare: those of the records' groups if every group is named, else all."""
    names = {record.named_group for record in records}
    if "" in names or not all(record.named_group for record in absent):
        return absent
    return [record for record in absent if record.named_group in names]


def _cached_matches(
    records: Sequence[Record], sets: list[list[int]], config: RunConfig, store: ArtifactStore
) -> list[MatchedPair]:
    """Matches within each set, from the cache, else searched and written to the cache.

    The cache stores indexes among the compared images, because another run may have images between
    them that are not compared.
    """
    indexes = [index for indexes in sets for index in indexes]
    compared, sizes = [records[index] for index in indexes], [len(one) for one in sets]
    inputs = canonical_json(
        [_SEARCH, cv2.__version__, config.group.min_inliers, sizes, [r.sha256 for r in compared]]
    )
    key = sha256_bytes(inputs.encode())[:24]
    uri = f"{store.root}/ties/{config.name}/{key}.json"
    cached = store.objects.read_tagged(uri)
    if cached is None:
        found = _search_matches(compared, sizes, config, store)
        store.objects.write(uri, json.dumps(found).encode())
    else:
        _log.info("group: reused the matches of these %d images", len(compared))
        found = [MatchedPair(*values) for values in json.loads(cached[0])]
    return [MatchedPair(indexes[one], indexes[other], inliers) for one, other, inliers in found]


def _search_matches(
    records: Sequence[Record], sizes: Iterable[int], config: RunConfig, store: ArtifactStore
) -> list[MatchedPair]:
    """Read all images and match within each set; set i is the next `sizes[i]` of the records."""
    fingerprints, matches, start = _fingerprints(records, store), list[MatchedPair](), 0
    for size in sizes:
        found = find_matches(fingerprints[start : start + size], config.group.min_inliers)
        matches += [MatchedPair(start + one, start + other, n) for one, other, n in found]
        start += size
    return matches


def _fingerprints(records: Sequence[Record], store: ArtifactStore) -> list[Fingerprint]:
    """Read every image once, in batches; returns the fingerprints in the order of the records."""

    def extract(item: tuple[Record, bytes]) -> tuple[str, Fingerprint]:
        """SHA-256 and fingerprint of a record's image."""
        record, data = item
        return record.sha256, extract_fingerprint(decode(data))

    fingerprints: dict[str, Fingerprint] = {}
    images = read_images(store, records)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(islice(images, _BATCH)):
            fingerprints.update(pool.map(extract, batch))
            _log.info("group: keypoints of %d of %d images", len(fingerprints), len(records))
    return [fingerprints[record.sha256] for record in records]


def _publish(
    named: Sequence[Record],
    matches: Sequence[MatchedPair],
    manifest: GroupingManifest,
    store: ArtifactStore,
) -> Artifact[GroupingManifest]:
    """Publish labelled records, matches, and the related locked images, which have no label."""
    records = [record for record in named if record.label]
    locked = _related_locked(named, matches)
    written = {record.sha256 for record in (*records, *locked)}
    by_hash = [
        ImageMatch(one=named[one].sha256, other=named[other].sha256, inliers=inliers)
        for one, other, inliers in matches
    ]
    hinted = sum(bool(record.named_group) for record in records)
    counts = {**grouping_counts(records), "hinted": hinted}
    files = {
        "records.csv": to_csv(records, Record),
        # Two locked images of a cell without an image in this dataset also match each other.
        MATCHES: to_csv((m for m in by_hash if {m.one, m.other} <= written), ImageMatch),
        LOCKED: to_csv(locked, Record),
    }
    return store.publish_texts(files, manifest.model_copy(update={"counts": counts}))


def grouping_counts(records: Sequence[Record]) -> dict[str, int]:
    """Number of images, groups and cells of the records, for the manifest."""
    groups, cells = {record.group for record in records}, {record.cell for record in records}
    return {"images": len(records), "groups": len(groups), "cells": len(cells)}


def _related_locked(named: Sequence[Record], matches: Sequence[MatchedPair]) -> list[Record]:
    """Locked images that share a group, or a chain of matches, with an image of the dataset."""
    roots = component_roots(len(named), matches)
    groups = {record.group for record in named if record.label}
    matched = {root for record, root in zip(named, roots, strict=True) if record.label}
    return [
        record
        for record, root in zip(named, roots, strict=True)
        if not record.label and (record.group in groups or root in matched)
    ]


def _describe_method(records: Sequence[Record], *, searched: bool, config: RunConfig) -> str:
    """How groups and cells were found, for the manifest: by names (hints), by search, or both."""
    search = f"SIFT, affine map with {config.group.min_inliers} inliers"
    hinted = sum(bool(record.named_group) for record in records)
    if not searched:
        return "hints"
    if hinted == len(records):
        return f"hints, cells by {search}"
    return f"hints, else {search}" if hinted else search
