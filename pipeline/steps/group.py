"""Group: every image learns which cell it shows, so that no cell is on both sides of a split."""

import csv
import io
import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    Artifact,
    DatasetManifest,
    GroupingManifest,
    Record,
    to_csv,
)
from pipeline.config import RunConfig
from pipeline.contract.preprocessing import prepare
from pipeline.run import RunContext
from pipeline.steps.fingerprint import fingerprint, stack
from pipeline.steps.images import read_images
from pipeline.steps.near_duplicates import groups_of

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
    the same name means the same cell. Images without one are compared with each other.
    """
    _log.info("group: %s", dataset.uri)
    records = store.records(dataset)
    hinted = [record for record in records if record.hint]
    found = _recovered([record for record in records if not record.hint], config, store)
    named = [
        record.model_copy(update={"group": record.hint or found[record.sha256]})
        for record in records
    ]
    manifest = GroupingManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"dataset": dataset.uri},
        counts={
            "images": len(named),
            "groups": len({record.group for record in named}),
            "hinted": len(hinted),
        },
        method=_method(len(hinted), len(records), config),
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-grouping-") as folder:
        (Path(folder) / "records.csv").write_text(to_csv(named, Record))
        artifact = store.publish(Path(folder), manifest)
    _log.info("group: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def write_groups_csv(records: Iterable[Record]) -> str:
    """`file,label,group` in order of file: what `leukoflow group` hands out."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["file", "label", "group"])
    ordered = sorted(records, key=lambda record: (record.file, record.sha256))
    writer.writerows([record.file, record.label, record.group] for record in ordered)
    return out.getvalue()


def group_names(hashes: Sequence[str], roots: Sequence[int]) -> dict[str, str]:
    """Image hash to `g` and twelve hex digits of the smallest hash in its group."""
    members: dict[int, list[str]] = defaultdict(list)
    for sha256, root in zip(hashes, roots, strict=True):
        members[root].append(sha256)
    return {sha256: f"g{min(same)[:12]}" for same in members.values() for sha256 in same}


def _recovered(
    records: Sequence[Record], config: RunConfig, store: ArtifactStore
) -> Mapping[str, str]:
    """Image hash to group by near-duplicate search, in order of hash: repeatable."""
    if not records:
        return {}
    by_hash = sorted(records, key=lambda record: record.sha256)
    prints = {
        record.sha256: fingerprint(prepare(data, config.contract))
        for record, data in read_images(store, by_hash)
    }
    hashes = [record.sha256 for record in by_hash]
    stacked = stack([prints[sha256] for sha256 in hashes])
    return group_names(hashes, groups_of(stacked, config.group.min_similarity))


def _method(hinted: int, total: int, config: RunConfig) -> str:
    searched = f"affine polar correlation >= {config.group.min_similarity:g}"
    if hinted == total:
        return "hints"
    return f"hints, else {searched}" if hinted else searched
