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
from pipeline.config import RunConfig, load_config
from pipeline.entrypoints.configs import config_path
from pipeline.entrypoints.jobs.job import kept_here, open_job
from pipeline.entrypoints.jobs.pages import publish, publish_refusal
from pipeline.records import Quarantined, Record, from_csv
from pipeline.run import RunContext
from pipeline.settings import load_settings
from pipeline.version import code_version

if TYPE_CHECKING:
    from pipeline.steps.evaluation.omissions import Omissions


def group(config: str, run_id: str, dataset: str) -> str:
    """Find which images show the same cell, and set cells aside that contradict themselves."""
    from pipeline.steps.cells.data_gate import data_gate
    from pipeline.steps.cells.group import group as step
    from pipeline.steps.dataset.validate import DatasetRefusedError

    job = open_job(config, run_id)
    opened = job.open(dataset, DatasetManifest)
    grouping = step(opened, job.config, store=job.store, run=job.run)
    try:
        passed = data_gate(grouping, job.config, store=job.store, run=job.run)
    except DatasetRefusedError as refused:
        raise publish_refusal(
            refused, grouping, store=job.store, run=job.run, site=job.settings.reports_url
        ) from refused
    badge = f"{passed.manifest.counts['quarantined']} set aside"
    publish(job, passed, "grouping", "report.html", badge)
    return passed.uri


def split(config: str, run_id: str, grouping: str) -> str:
    """Deal groups into train, val and the locked test part."""
    from pipeline.steps.cells.split import split as step

    job = open_job(config, run_id)
    opened = job.open(grouping, GroupingManifest)
    return step(opened, job.config, store=job.store, run=job.run).uri


@dataclass(frozen=True)
class Grouped:
    """A labelled archive, its images grouped by cell, in a store that lasts as long as needed."""

    store: ArtifactStore
    snapshot: Artifact[SnapshotManifest]
    records: list[Record]
    quarantined: list[Quarantined]
    """What validation set aside: labels that are no class, and what cannot be read."""

    @property
    def duplicates(self) -> int:
        """Copies of an image under the same label, which count once."""
        return self.snapshot.manifest.counts["duplicates"]


def group_archive(archive: str, config: str) -> "tuple[list[Record], Omissions]":
    """Which images of an archive show one cell, and which are left out; needs no running stack."""
    from pipeline.steps.evaluation.omissions import omissions

    loaded = load_config(config_path(config))
    with grouped(archive, loaded) as found:
        classes = loaded.contract.classes
        return found.records, omissions(found.quarantined, classes, found.duplicates)


@contextmanager
def grouped(archive: str, config: RunConfig) -> Iterator[Grouped]:
    """Ingest, validate and group an archive in a folder that ends with the block.

    Raises:
        InvalidInputError: when the archive breaks a rule of ingest or validation.
    """
    from pipeline.steps.cells.group import group
    from pipeline.steps.dataset.ingest import ingest
    from pipeline.steps.dataset.validate import DatasetRefusedError, validate

    run, settings = RunContext.now("archive", code_version()), load_settings()
    with tempfile.TemporaryDirectory(prefix="archive-") as folder:
        store = ArtifactStore(UriStore(settings), folder)
        snapshot = ingest([archive], config, store=store, run=run)
        try:
            dataset = validate(snapshot, config, store=store, run=run)
        except DatasetRefusedError as refused:
            # The folder ends with this call, and no stack need be there to show a page.
            kept = kept_here(settings)
            raise publish_refusal(refused, snapshot, store=kept, run=run) from refused
        grouping = group(dataset, config, store=store, run=run)
        aside = from_csv(store.read(dataset, "quarantine.csv").decode(), Quarantined)
        yield Grouped(store, snapshot, store.records(grouping), aside)
