"""Dataset entry points: watch for archives, ingest them, validate the snapshot."""

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pipeline.adapters.storage import UriStore
from pipeline.artifacts import SnapshotManifest
from pipeline.config.archive_limits import ALL_FILES, PathFilter
from pipeline.entrypoints.jobs.job import open_job, open_store
from pipeline.entrypoints.jobs.report_pages import publish, publish_refusal
from pipeline.entrypoints.jobs.run_note import write_note

if TYPE_CHECKING:
    from pipeline.steps.inspection.inspect import Inspection

log = logging.getLogger(__name__)


def has_archives(config: str) -> bool:
    """Whether the config's folder `archives/<name>/` contains an archive; logs if it does not."""
    from pipeline.steps.dataset.watch import list_archives

    job = open_job(config, "look")
    any_archive = bool(list_archives(job.config.name, store=job.store))
    if not any_archive:
        log.info("archives/%s/ is empty: there is nothing to train on", job.config.name)
    return any_archive


def ingest(
    config: str,
    run_id: str,
    archives: Sequence[str] = (),
    limit: int = 0,
    paths: PathFilter = ALL_FILES,
) -> str:
    """Ingest archives (default: all of the model) as a snapshot; returns the snapshot's URI."""
    from pipeline.steps.dataset.ingest import ingest as step

    job = open_job(config, run_id, limit, paths)
    named = [uri for uri in archives if uri.strip()]
    return step(named, job.config, store=job.store, run=job.run).uri


def inspect(
    config: str,
    archives: Sequence[str] = (),
    limit: int = 0,
    paths: PathFilter = ALL_FILES,
    *,
    cells: bool = True,
) -> "tuple[Inspection, str]":
    """What a training would make of archives (default: all of the model), and the report's HTML.

    Needs no stack for local archives, and changes nothing.
    """
    from pipeline.steps.dataset.watch import list_archives
    from pipeline.steps.inspection.inspect import inspect as step

    job = open_job(config, "inspect", limit, paths)
    named = [uri for uri in archives if uri.strip()]
    uris = named or sorted(list_archives(job.config.name, store=job.store))
    objects = UriStore(job.settings)
    return step(uris, job.config, objects=objects, run=job.run, named=bool(named), cells=cells)


def inspect_run(
    config: str,
    dag_id: str,
    run_id: str,
    archives: Sequence[str] = (),
    limit: int = 0,
    paths: PathFilter = ALL_FILES,
) -> None:
    """Inspect archives and write the result to the note of an Airflow run."""
    from pipeline.steps.inspection.inspect import summary

    text = summary(inspect(config, archives, limit, paths)[0])
    log.info(text)
    write_note(dag_id, run_id, text)


def snapshot_manifest(snapshot: str) -> SnapshotManifest:
    """Manifest of a snapshot: its counts, and the archives that ingest skipped."""
    return open_store().open(snapshot, SnapshotManifest).manifest


def validate(config: str, run_id: str, snapshot: str) -> str:
    """Quarantine unusable images; returns the dataset's URI, publishes the report in any case.

    Raises:
        InvalidInputError: when too many are unusable; has the report's address.
    """
    from pipeline.steps.dataset.validate import validate as step

    job = open_job(config, run_id)
    opened = job.open(snapshot, SnapshotManifest)
    with publish_refusal(opened, store=job.store, run=job.run, site=job.settings.reports_url):
        dataset = step(opened, job.config, store=job.store, run=job.run)
    counts = dataset.manifest.counts
    badge = f"{counts.get('quarantined', 0)} quarantined"
    if refused := opened.manifest.refused:
        badge = f"{len(refused)} skipped, {badge}"
    publish(job, dataset, "validation", badge, ["report.html"])
    return dataset.uri


def claim_archives(config: str) -> list[dict[str, str]]:
    """Store new and changed archives as pending in the watermark; returns all pending archives."""
    from pipeline.steps.dataset.watch import claim_archives as step

    job = open_job(config, "watch")
    return step(job.config.name, store=job.store)


def mark_seen(config: str, archives: Iterable[dict[str, str]]) -> None:
    """Store archives as seen in the watermark, so that `claim_archives` skips them."""
    from pipeline.steps.dataset.watch import mark_seen as step

    job = open_job(config, "watch")
    step(job.config.name, archives, store=job.store)
