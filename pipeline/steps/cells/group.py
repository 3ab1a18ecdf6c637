"""Group: every image learns its group and its cell, so that no cell is on both sides of a split."""

import csv
import hashlib
import io
import json
import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
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
from pipeline.steps.cells.lock import LockedImages, read_lock
from pipeline.steps.cells.matching.near_duplicates import Tie, find_ties, unite
from pipeline.steps.cells.matching.view import View, view
from pipeline.steps.cells.naming import name_groups, to_compare

LINKS, LOCKED = "links.csv", "locked.csv"
_BATCH = 500
_SEARCH = 2
"""Changes whenever `find_ties` or `view` could tie other images, or the key says something else."""

_log = logging.getLogger(__name__)


def group(
    dataset: Artifact[DatasetManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    """Name the group and the cell of every record.

    A name that was given (a manifest column or a file-name pattern) holds also across archives: the
    same name means the same group. What nobody named is found by comparing images, also with those
    of the locked test part that are in no archive of this dataset: a copy of a locked cell must go
    where the cell is.
    """
    _log.info("group: %s", dataset.uri)
    records = store.records(dataset)
    absent = elsewhere(records, read_lock(config.name, store), store)
    looked_at = sorted([*records, *_comparable(absent, records)], key=lambda r: r.sha256)
    sets = to_compare(looked_at)
    ties = _ties(looked_at, sets, config, store) if sets else []
    named = name_groups(looked_at, ties)
    method = _method(records, searched=bool(sets), config=config)
    artifact = _publish(named, ties, dataset, config, method, store=store, run=run)
    _log.info("group: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def _ties(
    looked_at: Sequence[Record], sets: list[list[int]], config: RunConfig, store: ArtifactStore
) -> list[Tie]:
    """What comparing the images of each set found, now or when the same ones were compared.

    It is kept by the place of an image among the compared ones, since others may stand between them
    the next time.
    """
    places = [place for together in sets for place in together]
    compared, sizes = [looked_at[place] for place in places], [len(one) for one in sets]
    inputs = canonical_json(
        [_SEARCH, cv2.__version__, config.group.min_inliers, sizes, [r.sha256 for r in compared]]
    )
    key = hashlib.sha256(inputs.encode()).hexdigest()[:24]
    uri = f"{store.root}/ties/{config.name}/{key}.json"
    cached = store.objects.read_tagged(uri)
    if cached is None:
        found = _compare(compared, sizes, config, store)
        store.objects.write(uri, json.dumps(found).encode())
    else:
        _log.info("group: these %d images were compared before", len(compared))
        found = [Tie(*numbers) for numbers in json.loads(cached[0])]
    return [Tie(places[one], places[other], inliers) for one, other, inliers in found]


def _compare(
    records: Sequence[Record], sizes: Iterable[int], config: RunConfig, store: ArtifactStore
) -> list[Tie]:
    """Ties within each run of so many records, by their place among all of them."""
    views, ties, start = _views(records, store), list[Tie](), 0
    for size in sizes:
        found = find_ties(views[start : start + size], config.group.min_inliers)
        ties += [Tie(start + one, start + other, inliers) for one, other, inliers in found]
        start += size
    return ties


def write_groups_csv(records: Iterable[Record]) -> str:
    """`file,label,group,cell` in order of file: what `leukoflow group` writes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "label", "group", "cell"])
    ordered = sorted(records, key=lambda record: (record.file, record.sha256))
    writer.writerows([record.file, record.label, record.group, record.cell] for record in ordered)
    return out.getvalue()


def elsewhere(records: Iterable[Record], lock: LockedImages, store: ArtifactStore) -> list[Record]:
    """Locked images that these records lack, without a label, where their archives still stand."""
    here = {record.sha256 for record in records}
    absent = [
        Record(sha256=sha256, label="", file="", archive=image.archive, hint=image.group)
        for sha256, image in sorted(lock.by_hash.items())
        if image.archive and sha256 not in here
    ]
    standing = {archive: _stands(archive, store) for archive in {r.archive for r in absent}}
    return [record for record in absent if standing[record.archive]]


def _comparable(absent: Sequence[Record], records: Sequence[Record]) -> Sequence[Record]:
    """Locked images that records could show the cell of: of the same groups where all are named."""
    names = {record.named_group for record in records}
    if "" in names or not all(record.named_group for record in absent):
        return absent
    return [record for record in absent if record.named_group in names]


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
    ties: Sequence[Tie],
    dataset: Artifact[DatasetManifest],
    config: RunConfig,
    method: str,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    # What was fetched from the lock's archives was labelled elsewhere.
    records = [record for record in named if record.label]
    groups = {record.group for record in records}
    roots = unite(len(named), ties)
    tied = {root for record, root in zip(named, roots, strict=True) if record.label}
    locked = [
        record
        for record, root in zip(named, roots, strict=True)
        if not record.label and (record.group in groups or root in tied)
    ]
    listed = {record.sha256 for record in (*records, *locked)}
    links = [Link(one=named[i].sha256, other=named[j].sha256, inliers=n) for i, j, n in ties]
    manifest = GroupingManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"dataset": dataset.uri},
        counts={
            "images": len(records),
            "groups": len(groups),
            "cells": len({record.cell for record in records}),
            "hinted": sum(bool(record.named_group) for record in records),
        },
        method=method,
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-grouping-") as name:
        folder = Path(name)
        (folder / "records.csv").write_text(to_csv(records, Record))
        # Two locked images of a cell that is in no archive of this dataset are tied, too.
        (folder / LINKS).write_text(to_csv((k for k in links if listed >= {k.one, k.other}), Link))
        (folder / LOCKED).write_text(to_csv(locked, Record))
        return store.publish(folder, manifest)


def _method(records: Sequence[Record], *, searched: bool, config: RunConfig) -> str:
    search = f"SIFT, affine map with {config.group.min_inliers} inliers"
    hinted = sum(bool(record.named_group) for record in records)
    if not searched:
        return "hints"
    if hinted == len(records):
        return f"hints, cells by {search}"
    return f"hints, else {search}" if hinted else search
