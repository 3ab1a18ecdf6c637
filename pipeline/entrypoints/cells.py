"""Cell entry points: group the images of one cell, split groups into parts."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import (
    Artifact,
    DatasetManifest,
    GroupingManifest,
    SnapshotManifest,
)
from pipeline.config.archive_limits import ALL_FILES, PathFilter
from pipeline.config.run_config import RunConfig
from pipeline.entrypoints.jobs.job import local_store, open_job
from pipeline.entrypoints.jobs.report_pages import publish, publish_refusal
from pipeline.records import Quarantined, Record, Skipped, from_csv
from pipeline.run_context import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.steps.evaluation.omissions import Omissions


def group(config: str, run_id: str, dataset: str) -> str:
    """Group the images of one cell, quarantine contradictory cells; returns the grouping's URI.

    The report is published in any case.

    Raises:
        InvalidInputError: when the data gate refuses; has the report's address.
    """
    from pipeline.steps.cells.data_gate import data_gate
    from pipeline.steps.cells.group import group as step

    job = open_job(config, run_id)
    opened = job.open(dataset, DatasetManifest)
    grouping = step(opened, job.config, store=job.store, run=job.run)
    with publish_refusal(grouping, store=job.store, run=job.run, site=job.settings.reports_url):
        passed = data_gate(grouping, job.config, store=job.store, run=job.run)
    badge = f"{passed.manifest.counts['quarantined']} quarantined"
    publish(job, passed, "grouping", badge, ["report.html"])
    return passed.uri


def split(config: str, run_id: str, grouping: str) -> str:
    """Assign groups to train, val and the locked test part; returns the split's URI."""
    from pipeline.steps.cells.split import split as step

    job = open_job(config, run_id)
    opened = job.open(grouping, GroupingManifest)
    return step(opened, job.config, store=job.store, run=job.run).uri


@dataclass(frozen=True)
class Grouped:
    """A labelled archive, its images grouped by cell, in a temporary store."""

    store: ArtifactStore
    snapshot: Artifact[SnapshotManifest]
    records: list[Record]
    quarantined: list[Quarantined]
    """Images quarantined by validation: unknown classes and unreadable files."""
    skipped: list[Skipped]
    """Files that ingest did not read."""

    @property
    def duplicates(self) -> int:
        """Number of copies of an image under the same label, which count once."""
        return self.snapshot.manifest.counts["duplicates"]


def group_archive(
    archive: str, config: str, paths: PathFilter = ALL_FILES
) -> "tuple[list[Record], Omissions]":
    """The images of an archive, grouped by cell, and those left out; needs no running stack."""
    from pipeline.steps.evaluation.omissions import omissions

    loaded = open_job(config, "archive", paths=paths).config
    with grouped(archive, loaded) as result:
        left_out = omissions(
            [*result.quarantined, *result.skipped],
            loaded.contract.classes,
            known=len(result.records),
            duplicates=result.duplicates,
        )
        return result.records, left_out


@contextmanager
def grouped(archive: str, config: RunConfig) -> Iterator[Grouped]:
    """Ingest, validate and group an archive in a temporary store, deleted after the block.

    Raises:
        InvalidInputError: when ingest or validation refuses the archive.
    """
    from pipeline.steps.cells.group import group
    from pipeline.steps.dataset.ingest import ingest, skipped_files
    from pipeline.steps.dataset.validate import validate

    run, settings = RunContext.now("archive", code_version()), load_settings()
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        store = ArtifactStore(UriStore(settings), folder)
        snapshot = ingest([archive], config, store=store, run=run)
        # In the local store, because the folder is temporary and no stack need be running.
        with publish_refusal(snapshot, store=local_store(settings), run=run):
            dataset = validate(snapshot, config, store=store, run=run)
        grouping = group(dataset, config, store=store, run=run)
        quarantined = from_csv(store.read(dataset, "quarantine.csv").decode(), Quarantined)
        skipped = skipped_files(snapshot, store)
        yield Grouped(store, snapshot, store.records(grouping), quarantined, skipped)
