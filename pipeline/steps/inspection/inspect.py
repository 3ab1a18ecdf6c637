"""Inspect: what ingest, validation, grouping and split would do with archives; trains nothing.

The steps themselves run, in a temporary store, so that the result cannot differ from theirs. Only
the locked test part of earlier runs is not known there.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import Artifact, SnapshotManifest
from pipeline.config.run_config import RunConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen, Quarantined, from_csv
from pipeline.run_context import RunContext
from pipeline.steps.cells.data_gate import data_gate
from pipeline.steps.cells.group import group
from pipeline.steps.cells.split import split
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.proposals import propose_reading
from pipeline.steps.dataset.validate import Validation, check, publish
from pipeline.steps.dataset.validation_rules import reasons


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


@dataclass(frozen=True)
class _Bench:
    """Config, run and temporary store of one inspection."""

    config: RunConfig
    store: ArtifactStore
    run: RunContext


def inspect(
    archives: Sequence[str],
    config: RunConfig,
    *,
    objects: ObjectStore,
    run: RunContext,
    named: bool = True,
    cells: bool = True,
) -> tuple[Inspection, str]:
    """Result of a dry run up to the split, and the HTML validation report ('' without an ingest).

    Args:
        archives: paths or URIs.
        config: of the training.
        objects: where the archives are; nothing is written there.
        run: recorded in temporary manifests.
        named: whether a person named the archives; of others, broken ones are skipped.
        cells: whether to search images of one cell, minutes for thousands of images without given
            groups; otherwise the rules on cells and the split are not checked.
    """
    with tempfile.TemporaryDirectory(prefix="inspect-") as folder:
        bench = _Bench(config, ArtifactStore(objects, folder), run)
        usable, skipped = (archives, []) if named else _usable(archives, bench)
        try:
            if not usable:
                raise InvalidInputError("no archive can be used")
            snapshot = ingest(usable, config, store=bench.store, run=run)
        except InvalidInputError as error:
            return _not_ingested(config, [str(error), *skipped]), ""
        checked = check(snapshot, config, store=bench.store)
        found = _cells(checked, snapshot, bench) if cells else _Cells()
        return _inspection(snapshot, checked, found, skipped), checked.render_page(snapshot)


def summary(result: Inspection) -> str:
    """The result in a few sentences, the verdict first."""
    verdict = "would train" if result.would_train else "would not train"
    because = f": {'; '.join(result.why)}" if result.why else ""
    parts = [
        f"only checked: these archives {verdict}{because}",
        f"usable images: {_counted(result.classes)}",
    ]
    kinds = {"quarantined": result.quarantined, "skipped": result.skipped}
    parts += [f"{kind}: {_counted(counts)}" for kind, counts in kinds.items() if counts]
    return ". ".join([*parts, *result.proposals])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _usable(archives: Sequence[str], bench: _Bench) -> tuple[list[str], list[str]]:
    """The archives that ingest accepts, and a sentence about each other one."""
    usable, skipped = [], []
    for uri in archives:
        try:
            ingest([uri], bench.config, store=bench.store, run=bench.run)
            usable.append(uri)
        except InvalidInputError as error:
            skipped.append(f"{uri} would be skipped: {error}")
    return usable, skipped


def _not_ingested(config: RunConfig, why: Sequence[str]) -> Inspection:
    """The inspection of archives that ingest refuses."""
    return Inspection(
        classes=dict.fromkeys(config.contract.classes, 0),
        cells=0,
        groups=0,
        duplicates=0,
        ignored={},
        skipped={},
        quarantined={},
        proposals=(),
        would_train=False,
        why=tuple(why),
    )


def _inspection(
    snapshot: Artifact[SnapshotManifest], checked: Validation, found: _Cells, skipped: list[str]
) -> Inspection:
    broken = [
        str(InvalidInputError(rule.problem, expected=rule.expected, received=rule.received))
        for rule in checked.broken
    ]
    manifest = snapshot.manifest
    helpful = propose_reading(manifest.left_out).values() if broken else ()
    return Inspection(
        classes=dict(checked.result.counts),
        cells=found.cells,
        groups=found.groups,
        duplicates=manifest.counts["duplicates"],
        **manifest.left_out.model_dump(),
        quarantined=dict(reasons([*checked.result.quarantined, *found.quarantined])),
        proposals=(*checked.result.proposals, *helpful),
        would_train=not broken and not found.refusals,
        why=(*broken, *found.refusals, *skipped),
    )


def _cells(checked: Validation, snapshot: Artifact[SnapshotManifest], bench: _Bench) -> _Cells:
    """Group, pass the data gate and split; a refusal of one of them is in the result."""
    if not checked.usable:
        return _Cells(cells=0, groups=0)
    config, store, run = bench.config, bench.store, bench.run
    dataset = publish(checked, snapshot, config, store=store, run=run)
    grouping = group(dataset, config, store=store, run=run)
    quarantined: list[Quarantined] = []
    refusals = []
    try:
        grouping = data_gate(grouping, config, store=store, run=run)
        quarantined = from_csv(store.read(grouping, "quarantine.csv").decode(), Quarantined)
        split(grouping, config, store=store, run=run)
    except InvalidInputError as error:
        refusals.append(str(error))
    records = store.records(grouping)
    return _Cells(
        cells=len({record.cell for record in records}),
        groups=len({record.group for record in records}),
        quarantined=quarantined,
        refusals=refusals,
    )
