"""Data gate: keep cells with contradicting labels out of training and the test part."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.config.run_config import RunConfig
from pipeline.records import ImageMatch, Quarantined, Record, from_csv, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.cells.contradictions import (
    cells_per_class,
    cells_under_two_labels,
    contradicted_returns,
    find_contradictions,
    without_labels,
)
from pipeline.steps.cells.data_gate_page import render, sections_of_pairs
from pipeline.steps.cells.group import LOCKED, MATCHES, grouping_counts
from pipeline.steps.cells.locked_images import read_lock
from pipeline.steps.dataset.validate import DatasetRefusedError
from pipeline.steps.dataset.validation_rules import Rule, share_rule

_log = logging.getLogger(__name__)

MIN_CELLS = 3
"""Fewest cells of a class: train, validation and test part need one each."""


@dataclass(frozen=True)
class _Tables:
    """Records, matches and locked images of a grouping, as read from the store."""

    records: Sequence[Record]
    matches: Sequence[ImageMatch]
    locked: Sequence[Record]
    """Locked images of earlier archives, without a label."""

    @property
    def images(self) -> list[Record]:
        """All images that matches refer to."""
        return [*self.records, *self.locked]


def data_gate(
    grouping: Artifact[GroupingManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    """Publish the grouping without cells under two labels; DatasetRefusedError if a rule fails.

    A returned label that the archives contradict quarantines the returned image alone.

    Raises:
        DatasetRefusedError: when `data_gate.two_labels` is `stop` and a cell has two labels, when
            too large a share would be quarantined, or when a class has fewer than three cells.
    """
    _log.info("data gate: %s", grouping.uri)
    tables = _read_tables(grouping, store)
    contradicted = contradicted_returns(tables.images, tables.matches)
    labelled = without_labels(tables.images, contradicted)
    disputed = cells_under_two_labels(labelled, tables.matches)
    quarantined = [*disputed, *contradicted]
    cells = cells_per_class(tables.records, quarantined, config.contract.classes)
    rules = (
        *label_rules(len(tables.records), disputed, contradicted, config.data_gate),
        cells_rule(cells),
    )
    sections = _matches_by_section(tables, config, store)
    pairs = sections_of_pairs(sections, tables.images, config.contract, store)
    page = render(grouping, pairs, rules, quarantined)
    broken = next((rule for rule in rules if not rule.passed), None)
    if broken is not None:
        _log.warning("data gate: refused %s: %s", grouping.uri, broken.problem)
        raise DatasetRefusedError(broken, page)
    manifest = grouping.manifest.model_copy(
        update={**run.model_dump(), "inputs": {"grouping": grouping.uri}}
    )
    artifact = _publish(tables, quarantined, page, manifest, store)
    _log.info("data gate: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def cells_rule(counts: Mapping[str, int]) -> Rule:
    """The rule that each class has three cells: one each for training, validation and test."""
    short = {label: cells for label, cells in counts.items() if cells < MIN_CELLS}
    words = {0: "no cell", 1: "one cell"}
    named = [f"class {k} has {words.get(n, f'{n} cells')}" for k, n in short.items()]
    return Rule(
        name="Cells per class",
        expected=f"at least {MIN_CELLS} of each of {', '.join(counts)}",
        received=", ".join(f"{k} {n}" for k, n in short.items()) or f"{MIN_CELLS} or more",
        passed=not short,
        problem=f"{', '.join(named)}; at least {MIN_CELLS} are needed, one each for training, "
        "validation and test: add images of other cells",
    )


def label_rules(
    images: int,
    disputed: Sequence[Quarantined],
    contradicted: Sequence[Quarantined],
    config: DataGateConfig,
) -> tuple[Rule, ...]:
    """Rules on cells under two labels, by policy and share; contradicted returns always pass.

    Args:
        images: number of images in the dataset.
        disputed: images of cells under two labels.
        contradicted: returned images whose label the archives contradict.
        config: the policy and the largest share.
    """
    reasons = "; ".join(sorted({image.reason for image in disputed}))
    return (
        Rule(
            name="Cells under two labels",
            expected="none" if config.two_labels == "stop" else "any number, all quarantined",
            received=f"{len(disputed)} images" if disputed else "none",
            passed=not disputed or config.two_labels != "stop",
            problem=reasons,
        ),
        share_rule(
            len(disputed),
            images,
            config.max_quarantined_share,
            f"too many images show a cell under two labels: {reasons}",
        ),
        Rule(
            name="Returned labels that contradict the archives",
            expected="any number, all quarantined",
            received=f"{len(contradicted)} images" if contradicted else "none",
            passed=True,
            problem="",
        ),
    )


def _read_tables(grouping: Artifact[GroupingManifest], store: ArtifactStore) -> _Tables:
    return _Tables(
        store.records(grouping),
        from_csv(store.read(grouping, MATCHES).decode(), ImageMatch),
        from_csv(store.read(grouping, LOCKED).decode(), Record),
    )


def _matches_by_section(
    tables: _Tables, config: RunConfig, store: ArtifactStore
) -> dict[str, list[ImageMatch]]:
    """The contradicting and the weakest matches, by title of the page's section; reads the lock."""
    locked = read_lock(config.name, store).hashes
    found = find_contradictions(tables.images, tables.matches, locked)
    return {
        "One cell under two labels": found.two_labels,
        "New images of a cell in the locked test part": found.with_locked,
        "One cell in two named groups": found.two_groups,
        "Matches with the fewest keypoints": found.weakest,
    }


def _publish(
    tables: _Tables,
    quarantined: Sequence[Quarantined],
    page: str,
    manifest: GroupingManifest,
    store: ArtifactStore,
) -> Artifact[GroupingManifest]:
    """Publish the grouping again, without the quarantined images and their matches."""
    excluded = {image.sha256 for image in quarantined}
    records = [record for record in tables.records if record.sha256 not in excluded]
    matches = [match for match in tables.matches if not excluded & {match.one, match.other}]
    counts = {**manifest.counts, **grouping_counts(records), "quarantined": len(quarantined)}
    files = {
        "records.csv": to_csv(records, Record),
        "quarantine.csv": to_csv(quarantined, Quarantined),
        "report.html": page,
        MATCHES: to_csv(matches, ImageMatch),
        LOCKED: to_csv(tables.locked, Record),
    }
    return store.publish_texts(files, manifest.model_copy(update={"counts": counts}))
