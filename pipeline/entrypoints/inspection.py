"""Inspection: what ingest, validation, grouping and split would do with archives; trains nothing.

The steps themselves run, in a temporary store, so that the result cannot differ from theirs. Only
the locked test part of earlier runs is not known there.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.adapters.airflow import AirflowClient
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, GroupingManifest, SnapshotManifest
from pipeline.config.archive_limits import ALL_FILES, PathFilter
from pipeline.entrypoints.jobs.job import Job, open_job
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.records import Frozen, Quarantined, from_csv

if TYPE_CHECKING:
    from pipeline.steps.dataset.validate import Validation

log = logging.getLogger(__name__)


class Inspection(Frozen):
    """Whether a training would accept archives, and the numbers behind it."""

    classes: dict[str, int]
    """Usable images of each class of the config."""
    cells: int | None
    """Different cells among the usable images; None if they were not searched."""
    groups: int | None
    """Groups (slides, patients or cells) that the split keeps together; None as `cells`."""
    duplicates: int
    """Byte-identical copies under one label, which count once."""
    ignored: dict[str, int]
    """Metadata files by reason."""
    skipped: dict[str, int]
    """Other files that are not read, by reason."""
    quarantined: dict[str, int]
    """Images that are not trained on, by reason."""
    proposals: tuple[str, ...]
    """What would help the archives."""
    would_train: bool
    why: tuple[str, ...]
    """Every reason found against training, and archives that would be skipped."""


@dataclass(frozen=True)
class _Cells:
    """What grouping, data gate and split say of a dataset."""

    cells: int | None = None
    groups: int | None = None
    quarantined: Sequence[Quarantined] = ()
    refusals: Sequence[str] = ()


def inspect(
    archives: Sequence[str],
    config: str,
    limit: int = 0,
    paths: PathFilter = ALL_FILES,
    *,
    cells: bool = True,
) -> tuple[Inspection, str]:
    """Result of a dry run up to the split, and the HTML validation report ('' without an ingest).

    Needs no stack for local archives, and changes nothing.

    Args:
        archives: paths or URIs; empty means all of the config's model in the store.
        config: path of the config.
        limit: maximum number of images per class and archive; 0 means all.
        paths: patterns of the files to read.
        cells: whether to search images of one cell, minutes for thousands of images without given
            groups; otherwise the rules on cells and the split are not checked.
    """
    from pipeline.steps.dataset.ingest import ingest
    from pipeline.steps.dataset.validate import check

    job = open_job(config, "inspect", limit, paths)
    with tempfile.TemporaryDirectory(prefix="inspect-") as folder:
        store = ArtifactStore(UriStore(job.settings), folder)
        named = list(archives) or _uploaded(job)
        try:
            snapshot = ingest(named, job.config, store=store, run=job.run)
        except InvalidInputError as error:
            return _not_ingested(job, error), ""
        checked = check(snapshot, job.config, store=store)
        found = _cells(checked, snapshot, job, store) if cells else _Cells()
        return _inspection(snapshot, checked, found), checked.render_page(snapshot)


def inspect_run(
    archives: Sequence[str], config: str, limit: int, paths: PathFilter, dag_id: str, run_id: str
) -> Inspection:
    """Inspect archives and write the result to the note of an Airflow run."""
    result, _ = inspect(archives, config, limit, paths)
    try:
        AirflowClient(open_job(config, run_id).settings).note(dag_id, run_id, summary(result))
    except (UnreachableError, InvalidInputError) as error:
        log.warning("the run's page has no note: %s", error)
    log.info("only checked: %s", summary(result))
    return result


def summary(result: Inspection) -> str:
    """The result in a few sentences, the verdict first."""
    counts = ", ".join(f"{name} {count}" for name, count in result.classes.items())
    verdict = "would train" if result.would_train else "would not train"
    because = f": {'; '.join(result.why)}" if result.why else ""
    parts = [f"only checked: these archives {verdict}{because}", f"usable images: {counts}"]
    if result.quarantined:
        parts.append(f"quarantined: {_counted(result.quarantined)}")
    if result.skipped:
        parts.append(f"skipped: {_counted(result.skipped)}")
    return ". ".join([*parts, *result.proposals])


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in counts.items())


def _uploaded(job: Job) -> list[str]:
    """URIs of all archives of the model; InvalidInputError if there is none."""
    from pipeline.steps.dataset.watch import list_archives

    uris = list(list_archives(job.config.name, store=job.store))
    if not uris:
        prefix = f"{job.store.root}/archives/{job.config.name}"
        raise InvalidInputError("there is no archive to inspect", expected=f"{prefix}/*.zip")
    return uris


def _not_ingested(job: Job, error: InvalidInputError) -> Inspection:
    """The inspection of archives that ingest refuses."""
    return Inspection(
        classes=dict.fromkeys(job.config.contract.classes, 0),
        cells=0,
        groups=0,
        duplicates=0,
        ignored={},
        skipped={},
        quarantined={},
        proposals=(),
        would_train=False,
        why=(str(error),),
    )


def _inspection(
    snapshot: Artifact[SnapshotManifest], checked: "Validation", found: _Cells
) -> Inspection:
    from pipeline.steps.dataset.validation_rules import reasons

    broken = [
        str(InvalidInputError(rule.problem, expected=rule.expected, received=rule.received))
        for rule in checked.broken
    ]
    manifest = snapshot.manifest
    return Inspection(
        classes=dict(checked.result.counts),
        cells=found.cells,
        groups=found.groups,
        duplicates=manifest.counts["duplicates"],
        **manifest.left_out.model_dump(),
        quarantined=dict(reasons([*checked.result.quarantined, *found.quarantined])),
        proposals=tuple(checked.result.proposals),
        would_train=not broken and not found.refusals,
        why=(*broken, *found.refusals),
    )


def _cells(
    checked: "Validation", snapshot: Artifact[SnapshotManifest], job: Job, store: ArtifactStore
) -> _Cells:
    """Group, pass the data gate and split, as far as possible: a refusal does not end it."""
    from pipeline.steps.cells.data_gate import data_gate
    from pipeline.steps.cells.group import group
    from pipeline.steps.cells.split import split
    from pipeline.steps.dataset.validate import publish

    if not checked.usable:
        return _Cells(cells=0, groups=0)
    dataset = publish(checked, snapshot, job.config, store=store, run=job.run)
    grouping: Artifact[GroupingManifest] = group(dataset, job.config, store=store, run=job.run)
    quarantined: list[Quarantined] = []
    refusals = []
    try:
        grouping = data_gate(grouping, job.config, store=store, run=job.run)
        quarantined = from_csv(store.read(grouping, "quarantine.csv").decode(), Quarantined)
        split(grouping, job.config, store=store, run=job.run)
    except InvalidInputError as error:
        refusals.append(str(error))
    records = store.records(grouping)
    return _Cells(
        cells=len({record.cell for record in records}),
        groups=len({record.group for record in records}),
        quarantined=quarantined,
        refusals=refusals,
    )
