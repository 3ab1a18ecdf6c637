"""Data gate: cells that contradict themselves reach neither training nor the test part."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config import DataGateConfig, RunConfig
from pipeline.records import Link, Quarantined, Record, from_csv, to_csv
from pipeline.run import RunContext
from pipeline.steps.cells.contradictions import (
    Findings,
    cells_left,
    contradicted_returns,
    disputed,
    examine,
    unlabelled,
)
from pipeline.steps.cells.data_gate_page import Pair, pairs_of, render
from pipeline.steps.cells.group import LINKS, LOCKED
from pipeline.steps.cells.lock import read_lock
from pipeline.steps.dataset.validate import DatasetRefusedError
from pipeline.steps.dataset.validation_rules import Rule

_log = logging.getLogger(__name__)

MIN_CELLS = 3
"""Cells that a class must have: images of one cell cannot be on two sides of a split."""


def data_gate(
    grouping: Artifact[GroupingManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    """Set cells under two labels aside, and show what the search found in `report.html`.

    Raises:
        DatasetRefusedError: when the policy says stop, or too much would be set aside.
    """
    _log.info("data gate: %s", grouping.uri)
    records = store.records(grouping)
    links = from_csv(store.read(grouping, LINKS).decode(), Link)
    away = from_csv(store.read(grouping, LOCKED).decode(), Record)
    every = [*records, *away]
    found = examine(every, links, read_lock(config.name, store).images)
    outvoted = contradicted_returns(every, links)
    aside = disputed(unlabelled(every, outvoted), links)
    cells = cells_left(records, [*aside, *outvoted], config.contract.classes)
    rules = (*gate_rules(len(records), aside, outvoted, config.data_gate), cells_rule(cells))
    shown = _shown(found, every, config, store)
    page = render(grouping, shown, rules, [*aside, *outvoted])
    broken = next((rule for rule in rules if not rule.kept), None)
    if broken is not None:
        _log.warning("data gate: refused %s", grouping.uri)
        raise DatasetRefusedError(broken, page)
    artifact = _publish(grouping, links, [*aside, *outvoted], page, store=store, run=run)
    _log.info("data gate: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def cells_rule(counts: Mapping[str, int]) -> Rule:
    """One cell of each class to train on, one to validate on and one to test on, at least."""
    short = {label: cells for label, cells in counts.items() if cells < MIN_CELLS}
    words = {0: "no cell", 1: "one cell"}
    named = [f"class {k} has {words.get(n, f'{n} cells')}" for k, n in short.items()]
    return Rule(
        name="Cells of each class",
        expected=f"at least {MIN_CELLS} of each of {', '.join(counts)}",
        received=", ".join(f"{k} {n}" for k, n in short.items()) or f"{MIN_CELLS} or more",
        kept=not short,
        problem=f"{', '.join(named)}; at least {MIN_CELLS} are needed, one each to train on, to "
        "validate on and to test on: add images of other cells",
    )


def gate_rules(
    images: int,
    aside: Sequence[Quarantined],
    outvoted: Sequence[Quarantined],
    config: DataGateConfig,
) -> tuple[Rule, ...]:
    """No cell under two labels if that is the policy, and not too much set aside.

    Returned labels that were outvoted are shown, and stop nothing.
    """
    share, most = len(aside) / max(images, 1), config.max_quarantined_share
    reasons = sorted({image.reason for image in aside})
    return (
        Rule(
            name="Cells under two labels",
            expected="none" if config.two_labels == "stop" else "they are set aside",
            received=f"{len(aside)} images" if aside else "none",
            kept=not aside or config.two_labels != "stop",
            problem="; ".join(reasons),
        ),
        Rule(
            name="Share of images set aside",
            expected=f"at most {most:.1%}",
            received=f"{share:.1%} of {images}",
            kept=share <= most,
            problem=f"too many images show a cell under two labels: {'; '.join(reasons)}",
        ),
        Rule(
            name="Returned labels that the archives contradict",
            expected="they are set aside",
            received=f"{len(outvoted)} images" if outvoted else "none",
            kept=True,
            problem="",
        ),
    )


def _shown(
    found: Findings, records: Sequence[Record], config: RunConfig, store: ArtifactStore
) -> Mapping[str, Sequence[Pair]]:
    sections = {
        "One cell under two labels": found.two_labels,
        "New images of a cell in the locked test part": found.of_locked,
        "One cell under two given names": found.named_apart,
        "Links that the fewest keypoints speak for": found.weakest,
    }
    return {
        title: pairs_of(links, records, config.contract, store) for title, links in sections.items()
    }


def _publish(
    grouping: Artifact[GroupingManifest],
    links: Sequence[Link],
    aside: Sequence[Quarantined],
    page: str,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[GroupingManifest]:
    refused = {image.sha256 for image in aside}
    records = [record for record in store.records(grouping) if record.sha256 not in refused]
    counts = {
        **grouping.manifest.counts,
        "images": len(records),
        "groups": len({record.group for record in records}),
        "cells": len({record.cell for record in records}),
        "quarantined": len(aside),
    }
    manifest = grouping.manifest.model_copy(
        update={**run.model_dump(), "inputs": {"grouping": grouping.uri}, "counts": counts}
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-gate-") as name:
        folder = Path(name)
        (folder / "records.csv").write_text(to_csv(records, Record))
        (folder / "quarantine.csv").write_text(to_csv(aside, Quarantined))
        (folder / "report.html").write_text(page)
        links = [link for link in links if not refused & {link.one, link.other}]
        (folder / LINKS).write_text(to_csv(links, Link))
        (folder / LOCKED).write_bytes(store.read(grouping, LOCKED))
        return store.publish(folder, manifest)
