"""Ingest: verify uploaded archives, repack their images and freeze their union as a snapshot."""

import json
import logging
import tempfile
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import ObjectInfo
from pipeline.artifacts import (
    CONTENT,
    ArchiveManifest,
    ArchiveRef,
    Artifact,
    RefusedArchive,
    SnapshotManifest,
)
from pipeline.config.run_config import RunConfig
from pipeline.digests import canonical_json, sha256_bytes, sha256_file
from pipeline.errors import ConflictError, InvalidInputError
from pipeline.records import FileCounts, Record, Skipped, from_csv, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.dataset.folder_labels import require_pattern
from pipeline.steps.dataset.refused_archives import (
    foreign_labels,
    ingest_usable,
    raise_if_remembered,
    remember_refusal,
)
from pipeline.steps.dataset.repack import RECORDS, SKIPPED, repack
from pipeline.steps.dataset.watch import list_archives, list_other_archives

_log = logging.getLogger(__name__)

_LAYOUT = 3
"""Version of the files that `repack` writes; increase it when the same archive gives others."""
_MAX_ATTEMPTS = 3
"""Reads of an archive that is replaced while it is read."""


def ingest(
    archives: Sequence[str], config: RunConfig, *, store: ArtifactStore, run: RunContext
) -> Artifact[SnapshotManifest]:
    """Publish an artefact per archive and a snapshot of their union.

    An archive whose ETag and config were ingested before is not read again. Of uploaded archives
    that `archives` does not name, those that cannot be ingested are skipped: the snapshot's
    `refused` lists them.

    Args:
        archives: URIs of zips; empty means all of `<root>/archives/<name>/`.
        config: name of the dataset and the limits of an archive.
        store: where the artefacts are.
        run: recorded in the manifests.

    Raises:
        InvalidInputError: when there is no archive, a named one breaks a rule, or all do.
        ConflictError: when an archive is replaced three times while it is read.
    """
    require_pattern(config.ingest)  # a fault of the config is not one of the archives
    if archives:
        uris = sorted(set(archives))
        _log.info("ingest: %d archives of %s", len(uris), config.name)
        ingested = [_ingest_archive(uri, config, store, run) for uri in uris]
        refused: list[RefusedArchive] = []
    else:
        ingested, refused = _ingest_uploaded(config, store, run)
    snapshot = _publish_snapshot(ingested, refused, config, store, run)
    _log.info("ingest: %s %s", snapshot.uri, snapshot.manifest.counts)
    return snapshot


def skipped_files(snapshot: Artifact[SnapshotManifest], store: ArtifactStore) -> list[Skipped]:
    """Files of a snapshot's archives that ingest did not read, archive by archive."""
    return _skipped_files(snapshot.manifest.archives, store)


def _skipped_files(refs: Iterable[ArchiveRef], store: ArtifactStore) -> list[Skipped]:
    archives = [store.open(ref.uri, ArchiveManifest) for ref in refs]
    tables = [store.read(one, SKIPPED) for one in archives if SKIPPED in one.manifest.files]
    return [row for table in tables for row in from_csv(table.decode(), Skipped)]


def union(records: Iterable[Record]) -> list[Record]:
    """One record per image and label, sorted by hash.

    Among rows with the same image and label, a row of an archive is preferred to a returned one,
    then a row that names its group or cell.
    """

    def order(record: Record) -> tuple[str | bool, ...]:
        unnamed = record.returned, not record.hint, not record.cell_hint
        return record.sha256, record.label, *unnamed, record.archive, record.file

    rows = groupby(sorted(records, key=order), key=lambda record: (record.sha256, record.label))
    return [next(same) for _, same in rows]


def _ingest_uploaded(
    config: RunConfig, store: ArtifactStore, run: RunContext
) -> tuple[list[Artifact[ArchiveManifest]], list[RefusedArchive]]:
    """The archives in `archives/<name>/`, ingested or refused; InvalidInputError if none is."""
    uploaded = list_archives(config.name, store=store)
    others = list_other_archives(config.name, store=store)
    if not uploaded:
        raise InvalidInputError(
            "there is no archive to ingest: upload one",
            expected=f"{store.root}/archives/{config.name}/*.zip",
            received=", ".join(others),
        )
    _log.info("ingest: %d archives of %s", len(uploaded), config.name)
    return ingest_usable(
        uploaded | others,
        lambda uri: _ingest_archive(uri, config, store, run, remember=True),
        lambda archive: foreign_labels(store.records(archive), config.contract.classes),
        lambda: list_archives(config.name, store=store),
    )


def _ingest_archive(
    uri: str, config: RunConfig, store: ArtifactStore, run: RunContext, *, remember: bool = False
) -> Artifact[ArchiveManifest]:
    """The archive's artefact, reused or published; tries again if the archive changes meanwhile.

    With `remember`, a refusal is stored, and a stored one raised without reading the archive.
    """
    for _ in range(_MAX_ATTEMPTS):
        before = _require_stat(uri, store)
        _check_size(before, config.ingest.max_archive_bytes)
        marker = f"{store.root}/ingested/{config.name}/{_marker_key(before, config)}"
        known = _ingested_before(f"{marker}.json", store)
        if known is not None:
            _log.info("ingest: reused %s for %s", known.uri, uri)
            return known
        if remember:
            raise_if_remembered(f"{marker}.refused.json", run.code_version, store=store)
        _log.info("ingest: reading %s", uri)
        with tempfile.TemporaryDirectory(prefix="leukoflow-ingest-") as staging:
            local = Path(staging) / PurePosixPath(uri).name
            store.objects.download(uri, local)
            if _require_stat(uri, store).etag != before.etag:
                _log.warning("ingest: %s was replaced while it was read; starting again", uri)
                continue
            try:
                archive = _publish_archive(local, config, store, run)
            except InvalidInputError as error:
                if remember:
                    refusal = f"{marker}.refused.json"
                    remember_refusal(refusal, uri, error, run.code_version, store=store)
                raise
        content = {"archive": archive.uri, "source": uri}
        store.objects.write(f"{marker}.json", canonical_json(content).encode())
        return archive
    raise ConflictError(f"{uri} was replaced {_MAX_ATTEMPTS} times while it was read")


def _require_stat(uri: str, store: ArtifactStore) -> ObjectInfo:
    """Size and ETag of an archive; InvalidInputError if it does not exist."""
    info = store.objects.stat(uri)
    if info is None:
        raise InvalidInputError("the archive does not exist", expected="a zip", received=uri)
    return info


def _check_size(info: ObjectInfo, limit: int) -> None:
    if info.size > limit:
        raise InvalidInputError(
            f"{info.uri} is too large", expected=f"at most {limit} bytes", received=f"{info.size}"
        )


def _marker_key(info: ObjectInfo, config: RunConfig) -> str:
    read_as = config.ingest.model_dump(mode="json"), sorted(config.contract.classes)
    inputs = [_LAYOUT, info.uri, info.etag, *read_as]
    return sha256_bytes(canonical_json(inputs).encode())[:24]


def _ingested_before(marker: str, store: ArtifactStore) -> Artifact[ArchiveManifest] | None:
    """The artefact of an earlier ingest; None if it is missing or, with a warning, damaged."""
    stored = store.objects.read_tagged(marker)
    if stored is None:
        return None
    try:
        return store.intact(json.loads(stored[0])["archive"], ArchiveManifest)
    except (ValueError, KeyError) as error:
        _log.warning("ingest: %s is damaged (%s); reading the archive again", marker, error)
        return None


def _publish_archive(
    path: Path, config: RunConfig, store: ArtifactStore, run: RunContext
) -> Artifact[ArchiveManifest]:
    """Repack a downloaded archive, and publish its records and packs."""
    with tempfile.TemporaryDirectory(prefix="leukoflow-packs-") as packs:
        records, skipped = repack(path, Path(packs), config.ingest, config.contract.classes)
        left_out = FileCounts.of(skipped)
        for line in left_out.lines():
            _log.info("ingest: %s: %s", path.name, line)
        manifest = ArchiveManifest(
            name=config.name,
            **run.model_dump(),
            counts={"files": len(records), "images": len({r.sha256 for r in records})},
            left_out=left_out,
            sha256=sha256_file(path),
            bytes=path.stat().st_size,
        )
        return store.publish(Path(packs), manifest)


def _publish_snapshot(
    ingested: Iterable[Artifact[ArchiveManifest]],
    refused: Sequence[RefusedArchive],
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[SnapshotManifest]:
    """Publish the union of archives, independent of their names, order and repetitions.

    With refused archives, the same snapshot is published a second time, with their list.
    """
    archives = sorted({archive.uri: archive for archive in ingested}.items())
    rows = [record for _, archive in archives for record in _read_rows(archive, store)]
    records = union(rows)
    refs = tuple(ArchiveRef(uri=uri, sha256=archive.manifest.sha256) for uri, archive in archives)
    manifest = SnapshotManifest(
        name=config.name,
        **run.model_dump(),
        counts={"images": len(records), "duplicates": len(rows) - len(records)},
        archives=refs,
        left_out=FileCounts.of(_skipped_files(refs, store)),
    )
    files = {RECORDS: to_csv(records, Record)}
    snapshot = store.publish_texts(files, manifest)
    if not refused:
        return snapshot
    remarks = {"refused": tuple(refused), "inputs": {CONTENT: snapshot.uri}}
    return store.publish_texts(files, manifest.model_copy(update=remarks))


def _read_rows(archive: Artifact[ArchiveManifest], store: ArtifactStore) -> list[Record]:
    rows = from_csv(store.read(archive, RECORDS).decode(), Record)
    return [record.model_copy(update={"archive": archive.uri}) for record in rows]
