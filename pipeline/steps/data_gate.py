"""Data gate: cells that contradict themselves reach neither training nor the test part."""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config import DataGateConfig, RunConfig
from pipeline.records import Link, Quarantined, Record, from_csv, to_csv
from pipeline.run import RunContext
from pipeline.steps.data_gate_report import Pair, pairs_of, render
from pipeline.steps.group import LINKS, LOCKED
from pipeline.steps.lock import read_lock
from pipeline.steps.near_duplicates import Tie, unite
from pipeline.steps.validate import DatasetRefusedError
from pipeline.steps.validation_rules import Rule, set_aside

_log = logging.getLogger(__name__)

_WEAKEST = 12
"""Links with the fewest inliers that the report shows: is the threshold right for these images?"""


@dataclass(frozen=True)
class Findings:
    """What the links between images say about their labels, names and parts."""

    two_labels: list[Link]
    """Images of one cell under two classes."""
    named_apart: list[Link]
    """Images of one cell that their hints call two."""
    of_locked: list[Link]
    """New images of a cell in the locked test part: they go there with it."""
    weakest: list[Link]
    """Those that the fewest keypoints speak for."""


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
    aside = disputed(_unlabelled(every, outvoted), links)
    rules = gate_rules(len(records), aside, outvoted, config.data_gate)
    shown = _shown(found, every, config, store)
    page = render(grouping, shown, rules, [*aside, *outvoted])
    broken = next((rule for rule in rules if not rule.kept), None)
    if broken is not None:
        _log.warning("data gate: refused %s", grouping.uri)
        raise DatasetRefusedError(broken, page)
    artifact = _publish(grouping, [*aside, *outvoted], page, store=store, run=run)
    _log.info("data gate: %s %s", artifact.uri, artifact.manifest.counts)
    return artifact


def examine(records: Iterable[Record], links: Sequence[Link], locked: AbstractSet[str]) -> Findings:
    """Sort the links that contradict a label, a hint or a part.

    Args:
        records: the images that links speak of.
        links: a forest over them: each cell under two labels has a link between the two.
        locked: hashes in the locked test part.
    """
    of = {record.sha256: record for record in records}

    def differ(link: Link, column: str) -> bool:
        one, other = (getattr(of[sha256], column) for sha256 in (link.one, link.other))
        return bool(one and other and one != other)

    return Findings(
        two_labels=[link for link in links if differ(link, "label")],
        named_apart=[link for link in links if differ(link, "hint")],
        of_locked=[link for link in links if (link.one in locked) != (link.other in locked)],
        weakest=sorted(links, key=lambda link: (link.inliers, link.one, link.other))[:_WEAKEST],
    )


def contradicted_returns(records: Sequence[Record], links: Iterable[Link]) -> list[Quarantined]:
    """Images with a returned label that no image of the same cell in the other archives has.

    Whoever may call the service can return a label: alone it must not take from training what the
    makers of the archives agree on.
    """
    aside = []
    for same in _cells(records, links):
        labels = sorted({record.label for record in same if record.label and not record.returned})
        reason = f"a returned label, while the archives say {' and '.join(labels)}"
        aside += [
            set_aside(record, reason)
            for record in same
            if labels and record.returned and record.label not in labels
        ]
    return sorted(aside, key=lambda image: (image.reason, image.sha256))


def disputed(records: Sequence[Record], links: Iterable[Link]) -> list[Quarantined]:
    """All images of every cell that stands under two labels."""
    aside = []
    for same in _cells(records, links):
        labelled = [record for record in same if record.label]
        labels = sorted({record.label for record in labelled})
        if len(labels) > 1:
            reason = f"the same cell is labelled {' and '.join(labels)}"
            aside += [set_aside(record, reason) for record in labelled]
    return sorted(aside, key=lambda image: (image.reason, image.sha256))


def _cells(records: Sequence[Record], links: Iterable[Link]) -> Iterable[list[Record]]:
    """Images that links say show one cell; a name that was given (a patient) may cover many."""
    place = {record.sha256: number for number, record in enumerate(records)}
    ties = [Tie(place[link.one], place[link.other], link.inliers) for link in links]
    cells: dict[int, list[Record]] = defaultdict(list)
    for record, root in zip(records, unite(len(records), ties), strict=True):
        cells[root].append(record)
    return cells.values()


def _unlabelled(records: Iterable[Record], which: Iterable[Quarantined]) -> list[Record]:
    """All records, those of `which` without their label: they still tell which images are one."""
    refused = {image.sha256 for image in which}
    return [
        record.model_copy(update={"label": ""}) if record.sha256 in refused else record
        for record in records
    ]


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
        for unchanged in (LINKS, LOCKED):
            (folder / unchanged).write_bytes(store.read(grouping, unchanged))
        return store.publish(folder, manifest)
