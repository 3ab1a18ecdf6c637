"""Validate: quarantine unusable images with their reason; refuse a dataset with too many."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import (
    CONTENT,
    Artifact,
    DatasetManifest,
    SnapshotManifest,
    content_uri,
)
from pipeline.config.run_config import RunConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.contract.decoding import Pixels
from pipeline.errors import InvalidInputError
from pipeline.records import Quarantined, Record, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.dataset.proposals import proposals, propose_groups, propose_reading
from pipeline.steps.dataset.validation_page import (
    EXAMPLES,
    Picture,
    ValidationResult,
    picture,
    render,
)
from pipeline.steps.dataset.validation_rules import (
    Rule,
    check_image,
    count_rules,
    images_per_class,
    match_classes,
    quarantine_row,
    reasons,
    resolve_labels,
)

_log = logging.getLogger(__name__)

_REASONS_SHOWN = 12
"""Reasons with example images on the page, the most frequent ones; an archive can have hundreds."""
_Pictures = dict[str, list[Picture]]


class DatasetRefusedError(InvalidInputError):
    """A dataset breaks a rule and cannot be trained on.

    `page` is its HTML report, `proposals` are sentences that say what would help.
    """

    def __init__(self, broken: Rule, page: str, proposed: Sequence[str] = ()) -> None:
        problem = "; ".join([broken.problem, *proposed])
        super().__init__(problem, expected=broken.expected, received=broken.received)
        self.page, self.proposals = page, tuple(proposed)


@dataclass
class _Inspection:
    """Images sorted by whether they are usable, and pictures of some of them."""

    usable: list[Record] = field(default_factory=list)
    unusable: list[Quarantined] = field(default_factory=list)
    examples: _Pictures = field(default_factory=lambda: defaultdict(list))
    """Usable images by class."""
    rejected: _Pictures = field(default_factory=lambda: defaultdict(list))
    """Quarantined images by reason, if they decode."""


@dataclass(frozen=True)
class Validation:
    """The images of a snapshot that can be trained on, the quarantined ones, and the report."""

    usable: Sequence[Record]
    """Sorted by hash."""
    result: ValidationResult
    render_page: Callable[[Artifact[SnapshotManifest]], str]
    """HTML of the report about a snapshot."""

    @property
    def broken(self) -> list[Rule]:
        """The rules that the snapshot breaks; none of them may be broken."""
        return [rule for rule in self.result.rules if not rule.passed]


def validate(
    snapshot: Artifact[SnapshotManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DatasetManifest]:
    """Check every image; publish dataset, quarantine and report, or raise with the report.

    Raises:
        DatasetRefusedError: when too large a share is quarantined, or a class has too few images.
    """
    _log.info("validate: %s", snapshot.uri)
    checked = check(snapshot, config, store=store)
    proposed = checked.result.proposals
    if checked.broken:
        broken = checked.broken[0]
        _log.warning("validate: refused %s: %s", snapshot.uri, broken.problem)
        helpful = propose_reading(snapshot.manifest.left_out).values()
        page = checked.render_page(snapshot)
        raise DatasetRefusedError(broken, page, (*proposed, *helpful))
    artifact = publish(checked, snapshot, config, store=store, run=run)
    for proposal in proposed:
        _log.warning("validate: %s", proposal)
    _log.info("validate: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def check(
    snapshot: Artifact[SnapshotManifest], config: RunConfig, *, store: ArtifactStore
) -> Validation:
    """Check every image, label and rule; publishes nothing."""
    classes = config.contract.classes
    known, unknown = match_classes(store.records(snapshot), classes)
    agreed, disputed = resolve_labels(known)
    inspection = _inspect(agreed, _examples_of([*unknown, *disputed]), config, store)
    quarantined = sorted(
        [*unknown, *disputed, *inspection.unusable], key=lambda q: (q.sha256, q.label, q.file)
    )
    counts = images_per_class(inspection.usable, classes)
    rules = count_rules(counts, quarantined, config)
    shown = {reason: inspection.rejected[reason] for reason, _ in _top_reasons(quarantined)}
    proposed = (*proposals(known, unknown, classes), *propose_groups(known, config))
    result = ValidationResult(counts, quarantined, rules, proposed, inspection.examples, shown)
    return Validation(inspection.usable, result, partial(render, result=result, config=config))


def publish(
    checked: Validation,
    snapshot: Artifact[SnapshotManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DatasetManifest]:
    """Publish the dataset of a checked snapshot, whatever rules it breaks."""
    counts, quarantined = checked.result.counts, checked.result.quarantined
    manifest = DatasetManifest(
        name=config.name,
        **run.model_dump(),
        inputs={"snapshot": content_uri(snapshot)},
        # The totals last: a class may be named `images`.
        counts={**counts, "images": len(checked.usable), "quarantined": len(quarantined)},
    )
    files = {
        "records.csv": to_csv(checked.usable, Record),
        "quarantine.csv": to_csv(quarantined, Quarantined),
        "report.html": checked.render_page(snapshot),
    }
    return _publish_files(files, manifest, snapshot, checked.render_page, store)


def _publish_files(
    files: Mapping[str, str],
    manifest: DatasetManifest,
    snapshot: Artifact[SnapshotManifest],
    render_page: Callable[[Artifact[SnapshotManifest]], str],
    store: ArtifactStore,
) -> Artifact[DatasetManifest]:
    """Publish a dataset; if the snapshot lists refused archives, also the one without the list."""
    if not snapshot.manifest.refused:
        return store.publish_texts(files, manifest)
    page = render_page(store.open(content_uri(snapshot), SnapshotManifest))
    content = store.publish_texts({**files, "report.html": page}, manifest)
    remarks = {"snapshot": snapshot.uri, CONTENT: content.uri}
    return store.publish_texts(files, manifest.model_copy(update={"inputs": remarks}))


def _top_reasons(quarantined: Iterable[Quarantined]) -> list[tuple[str, int]]:
    """The twelve most frequent reasons, each with its number of images."""
    return reasons(quarantined)[:_REASONS_SHOWN]


def _examples_of(quarantined: Sequence[Quarantined]) -> list[Quarantined]:
    """The first twelve images of each of the twelve most frequent reasons."""
    counts = {reason: 0 for reason, _ in _top_reasons(quarantined)}
    examples = []
    for image in sorted(quarantined, key=lambda q: (q.sha256, q.label, q.file)):
        if counts.get(image.reason, EXAMPLES) < EXAMPLES:
            counts[image.reason] += 1
            examples.append(image)
    return examples


def _inspect(
    records: Iterable[Record],
    already_rejected: Sequence[Quarantined],
    config: RunConfig,
    store: ArtifactStore,
) -> _Inspection:
    """Check `records`, and draw pictures of some; of `already_rejected`, only draw them.

    Args:
        records: images to check.
        already_rejected: quarantined images to show.
        config: the limits, and the contract that crops the examples.
        store: where the packs are.
    """
    known = {Record(**row.model_dump(exclude={"reason"})): row.reason for row in already_rejected}
    result = _Inspection()
    for record, image, fault in _decoded([*records, *known], config.validation, store):
        reason = known.get(record) or fault
        if not reason:
            result.usable.append(record)
        elif record not in known:
            result.unusable.append(quarantine_row(record, reason))
        pictures = result.rejected[reason] if reason else result.examples[record.label]
        if image is not None and len(pictures) < EXAMPLES:
            contract = None if reason else config.contract
            pictures.append(picture(record, image, contract))
    result.usable.sort(key=lambda record: record.sha256)
    return result


def _decoded(
    records: Iterable[Record], config: ValidateConfig, store: ArtifactStore
) -> Iterator[tuple[Record, Pixels | None, str]]:
    """Yield each record, its pixels or None, and its fault, empty if it is usable.

    An image is decoded once, also if several records of an archive share its bytes; the pixels of
    one image are in memory at a time.
    """
    images = read_images(store, records)
    for _, same in groupby(images, key=lambda pair: (pair[0].archive, pair[0].sha256)):
        first, data = next(same)
        image, fault = check_image(data, config)
        for record in (first, *(record for record, _ in same)):
            yield record, image, fault
