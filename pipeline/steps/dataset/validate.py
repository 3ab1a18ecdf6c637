"""Validate: what cannot be trained on is set aside with its reason, and too much of it stops."""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, DatasetManifest, SnapshotManifest
from pipeline.config import RunConfig, ValidateConfig
from pipeline.contract.decoding import MAX_PIXELS, decode
from pipeline.errors import InvalidInputError
from pipeline.records import Quarantined, Record, to_csv
from pipeline.run import RunContext
from pipeline.steps.dataset.validation_page import (
    EXAMPLES,
    Findings,
    Picture,
    cell_picture,
    plain_picture,
    render,
)
from pipeline.steps.dataset.validation_rules import (
    Rule,
    amount_rules,
    by_class,
    per_class,
    reasons,
    set_aside,
    settle_labels,
)

_log = logging.getLogger(__name__)

_REASONS_SHOWN = 12
"""Most frequent reasons of which examples are shown; a zip of a thousand folders has as many."""


class DatasetRefusedError(InvalidInputError):
    """Too much of a snapshot cannot be used; `page` is the report that shows it, in HTML."""

    def __init__(self, broken: Rule, page: str) -> None:
        super().__init__(broken.problem, expected=broken.expected, received=broken.received)
        self.page = page


def validate(
    snapshot: Artifact[SnapshotManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DatasetManifest]:
    """Check every image of a snapshot and write `records.csv`, `quarantine.csv`, `report.html`.

    Raises:
        DatasetRefusedError: when too large a share is set aside, or a class is left with too few.
    """
    _log.info("validate: %s", snapshot.uri)
    classes = config.contract.classes
    named, unnamed = by_class(store.records(snapshot), classes)
    agreed, disputed = settle_labels(named)
    kept, unfit, examples = _inspect(agreed, config, store)
    aside = sorted([*unnamed, *disputed, *unfit], key=lambda q: (q.sha256, q.label, q.file))
    counts = per_class(kept, classes)
    rules = amount_rules(counts, aside, config)
    findings = Findings(counts, aside, rules, examples, _faulty(aside, store))
    page = render(snapshot, findings, config)
    broken = next((rule for rule in rules if not rule.kept), None)
    if broken is not None:
        _log.warning("validate: refused %s", snapshot.uri)
        raise DatasetRefusedError(broken, page)
    artifact = _publish(kept, findings, page, snapshot, config, store=store, run=run)
    _log.info("validate: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def _inspect(
    records: Iterable[Record], config: RunConfig, store: ArtifactStore
) -> tuple[list[Record], list[Quarantined], Mapping[str, Sequence[Picture]]]:
    """What can be used, what cannot, and some of each class to look at."""
    kept: list[Record] = []
    unfit: list[Quarantined] = []
    examples: dict[str, list[Picture]] = defaultdict(list)
    for record, data in read_images(store, records):
        reason = _fault(data, config.validation)
        if reason:
            unfit.append(set_aside(record, reason))
            continue
        kept.append(record)
        if len(examples[record.label]) < EXAMPLES:
            examples[record.label].append(cell_picture(record, data, config.contract))
    return sorted(kept, key=lambda record: record.sha256), unfit, examples


def _fault(data: bytes, config: ValidateConfig) -> str:
    """Why an image cannot be used, or nothing; the same words for the same fault."""
    try:
        # Training and serving decode no larger ones, whatever a config allows.
        most = min(config.max_pixels, MAX_PIXELS)
        height, width = decode(data, max_pixels=most).shape[:2]
    except InvalidInputError as error:
        # What was received differs from image to image: one reason would become many.
        return error.message
    if min(height, width) < config.min_side:
        return f"a side is shorter than {config.min_side} pixels"
    return ""


def _faulty(
    quarantined: Sequence[Quarantined], store: ArtifactStore
) -> Mapping[str, Sequence[Picture]]:
    """Some of what was set aside for each of the most frequent reasons, where it decodes."""
    shown = {reason: 0 for reason, _ in reasons(quarantined)[:_REASONS_SHOWN]}
    chosen = []
    for image in quarantined:
        if shown.get(image.reason, EXAMPLES) < EXAMPLES:
            shown[image.reason] += 1
            chosen.append(image)
    why = {(q.archive, q.sha256, q.file): q.reason for q in chosen}
    records = [Record(**image.model_dump(exclude={"reason"})) for image in chosen]
    pictures: dict[str, list[Picture]] = defaultdict(list)
    for record, data in read_images(store, records):
        picture = plain_picture(record, data)
        if picture is not None:
            pictures[why[record.archive, record.sha256, record.file]].append(picture)
    return pictures


def _publish(
    kept: Sequence[Record],
    findings: Findings,
    page: str,
    snapshot: Artifact[SnapshotManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DatasetManifest]:
    amounts = {"images": len(kept), "quarantined": len(findings.quarantined)}
    manifest = DatasetManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"snapshot": snapshot.uri},
        counts={**amounts, **findings.counts},
    )
    with tempfile.TemporaryDirectory(prefix="leukoflow-dataset-") as name:
        folder = Path(name)
        (folder / "records.csv").write_text(to_csv(kept, Record))
        (folder / "quarantine.csv").write_text(to_csv(findings.quarantined, Quarantined))
        (folder / "report.html").write_text(page)
        return store.publish(folder, manifest)
