"""Validate: what cannot be trained on is set aside with its reason, and too much of it stops."""

import logging
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    Artifact,
    DatasetManifest,
    Quarantined,
    Record,
    SnapshotManifest,
    to_csv,
)
from pipeline.config import RunConfig, ValidateConfig
from pipeline.contract.preprocessing import decode
from pipeline.errors import InvalidInputError
from pipeline.run import RunContext
from pipeline.steps.images import read_images
from pipeline.steps.validation_report import EXAMPLES, render

_log = logging.getLogger(__name__)

_TOP_REASONS = 3


@dataclass
class _Sorted:
    """Where the images went, and a few of each class to look at."""

    kept: list[Record] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    examples: dict[str, list[tuple[Record, bytes]]] = field(
        default_factory=lambda: defaultdict(list)
    )


def validate(
    snapshot: Artifact[SnapshotManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DatasetManifest]:
    """Check every image of a snapshot and write `records.csv`, `quarantine.csv`, `report.html`.

    Raises:
        InvalidInputError: when too large a share is set aside, or a class is left with too few.
    """
    _log.info("validate: %s", snapshot.uri)
    found = store.records(snapshot)
    named, unnamed = by_class(found, config.contract.classes)
    agreed, disputed = settle_labels(named)
    result = _sort(agreed, config.validation, store)
    result.quarantined += [*unnamed, *disputed]
    result.quarantined.sort(key=lambda image: (image.sha256, image.label, image.file))
    check_amounts(result.kept, result.quarantined, config)
    artifact = _publish(result, snapshot, config, store, run)
    _log.info("validate: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def by_class(
    records: Iterable[Record], classes: Sequence[str]
) -> tuple[list[Record], list[Quarantined]]:
    """Records with their class as the config spells it, and those in folders of no class."""
    spelled = {name.casefold(): name for name in classes}
    named, unnamed = [], []
    for record in records:
        name = spelled.get(record.label.strip().casefold())
        if name is None:
            unnamed.append(_set_aside(record, f"unknown class {record.label!r}"))
        else:
            named.append(record.model_copy(update={"label": name}))
    return named, unnamed


def settle_labels(records: Iterable[Record]) -> tuple[list[Record], list[Quarantined]]:
    """Images whose bytes stand under one class, once each, and all rows of the others."""
    rows: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        rows[record.sha256].append(record)
    agreed, disputed = [], []
    for same in rows.values():
        labels = sorted({record.label for record in same})
        if len(labels) == 1:
            agreed.append(same[0])
        else:
            reason = f"the same image is labelled {' and '.join(labels)}"
            disputed += [_set_aside(record, reason) for record in same]
    return agreed, disputed


def check_amounts(
    kept: Sequence[Record], quarantined: Sequence[Quarantined], config: RunConfig
) -> None:
    """Stop when too much was set aside, or too little of a class is left.

    Raises:
        InvalidInputError: names the most frequent reasons, or the classes that are short.
    """
    share = len(quarantined) / max(len(kept) + len(quarantined), 1)
    if share > config.validation.max_quarantined_share:
        reasons = Counter(image.reason for image in quarantined).most_common(_TOP_REASONS)
        top = "; ".join(f"{reason} ({count})" for reason, count in reasons)
        raise InvalidInputError(
            f"too many images were set aside: {top}",
            expected=f"at most {config.validation.max_quarantined_share:.1%}",
            received=f"{share:.1%} of {len(kept) + len(quarantined)}",
        )
    counts, least = _per_class(kept, config), config.validation.min_images_per_class
    short = [f"{label} {count}" for label, count in counts.items() if count < least]
    if short:
        raise InvalidInputError(
            "classes have too few images",
            expected=f"at least {least} of each of {', '.join(config.contract.classes)}",
            received=", ".join(short),
        )


def _sort(records: Iterable[Record], config: ValidateConfig, store: ArtifactStore) -> _Sorted:
    result = _Sorted()
    for record, data in read_images(store, records):
        reason = _fault(data, config)
        if reason:
            result.quarantined.append(_set_aside(record, reason))
            continue
        result.kept.append(record)
        if len(result.examples[record.label]) < EXAMPLES:
            result.examples[record.label].append((record, data))
    result.kept.sort(key=lambda record: record.sha256)
    return result


def _fault(data: bytes, config: ValidateConfig) -> str:
    """Why an image cannot be used, or nothing; the same words for the same fault."""
    try:
        height, width = decode(data, max_pixels=config.max_pixels).shape[:2]
    except InvalidInputError as error:
        # The decoder's own words can hold addresses of this process: not for an artefact.
        return error.message
    if min(height, width) < config.min_side:
        return f"a side is shorter than {config.min_side} pixels"
    return ""


def _set_aside(record: Record, reason: str) -> Quarantined:
    return Quarantined(**record.model_dump(include=set(Quarantined.model_fields)), reason=reason)


def _per_class(kept: Iterable[Record], config: RunConfig) -> dict[str, int]:
    counts = Counter(record.label for record in kept)
    return {label: counts[label] for label in config.contract.classes}


def _publish(
    result: _Sorted,
    snapshot: Artifact[SnapshotManifest],
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DatasetManifest]:
    classes = _per_class(result.kept, config)
    counts = {"images": len(result.kept), "quarantined": len(result.quarantined), **classes}
    manifest = DatasetManifest(
        name=config.name, **run.model_dump(), inputs={"snapshot": snapshot.uri}, counts=counts
    )
    page = render(snapshot, classes, result.quarantined, result.examples, config.contract)
    with tempfile.TemporaryDirectory(prefix="leukoflow-dataset-") as name:
        folder = Path(name)
        (folder / "records.csv").write_text(to_csv(result.kept, Record))
        (folder / "quarantine.csv").write_text(to_csv(result.quarantined, Quarantined))
        (folder / "report.html").write_text(page)
        return store.publish(folder, manifest)
