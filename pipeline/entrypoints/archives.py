"""Archives that are looked at without training on them, and the watch for new ones."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, EvaluationManifest, ServedManifest, SnapshotManifest
from pipeline.config import EvaluateConfig, RunConfig, ValidateConfig, load_config
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.entrypoints.job import (
    code_version,
    config_path,
    kept_here,
    open_job,
    open_store,
)
from pipeline.entrypoints.pages import publish_refusal
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.run import RunContext
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.steps.answers import Answers
    from pipeline.steps.evaluation_report import EvaluationReport

EVERYTHING = ValidateConfig(min_images_per_class=0, max_quarantined_share=1.0)
"""An archive that is only scored may be small and may hold what the model does not know."""


def new_archives(config: str) -> list[dict[str, str]]:
    """Archives of the config's name that changed since the stored watermark."""
    from pipeline.steps.watch import new_archives as step

    job = open_job(config, "watch")
    return step(job.config.name, store=job.store)


def mark_seen(config: str, archives: Iterable[dict[str, str]]) -> None:
    """Move the watermark past these archives."""
    from pipeline.steps.watch import mark_seen as step

    job = open_job(config, "watch")
    step(job.config.name, archives, store=job.store)


@dataclass(frozen=True)
class Grouped:
    """A labelled archive, its images grouped by cell, in a store that lasts as long as needed."""

    store: ArtifactStore
    snapshot: Artifact[SnapshotManifest]
    records: list[Record]


@dataclass(frozen=True)
class Scored:
    """A model's answers to an archive: images of its own classes, and of others."""

    pointer: Pointer
    known: "Answers"
    unknown: "Answers"
    """Of folders whose name is no class of the model: only their review decision counts."""


def group_archive(archive: str, config: str) -> list[Record]:
    """Which images of an archive show one cell; needs no running stack."""
    with _grouped(archive, load_config(config_path(config))) as grouped:
        return grouped.records


@contextmanager
def _grouped(archive: str, config: RunConfig) -> Iterator[Grouped]:
    from pipeline.steps.group import group
    from pipeline.steps.ingest import ingest
    from pipeline.steps.validate import DatasetRefusedError, validate

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
        records = store.records(grouping)
        yield Grouped(store, snapshot, records)


def find_model(name: str, model: str) -> Pointer:
    """The pointer entry of `champion` or of a tag.

    Raises:
        InvalidInputError: when the history knows no such model.
    """
    store = open_store()
    registry = Registry(store.objects, store.root, name)
    current = registry.read()
    if model == "champion" and current is not None:
        return current
    history = registry.history()
    wanted = [entry for entry in history if entry.tag == model]
    if not wanted:
        raise InvalidInputError(
            "no such model",
            expected=", ".join(sorted({entry.tag for entry in history})) or "a promoted model",
            received=model,
        )
    return wanted[-1]


def evaluate_archive(archive: str, name: str, model: str) -> tuple[dict[str, object], str]:
    """Score a model on any labelled archive: the report, and predictions as CSV.

    The report tells how far the archive stands out from the model's own held-out images: that is
    near 0.5 for the same laboratory, near 1 for another, and in between for classes that the model
    does not know.
    """
    from pipeline.steps.evaluate import predictions_csv
    from pipeline.steps.novelty import crowd, novelty
    from pipeline.steps.scoring import scores

    scored, store = _score(archive, name, model), open_store()
    known, unknown = scored.known, scored.unknown
    contract = store.open(scored.pointer.served, ServedManifest).manifest.contract
    own, reference = _own_evaluation(scored.pointer, store)
    config = EvaluateConfig(prevalence=own.scores.prevalence)
    home, same, other = (
        crowd([line.record for line in lines], [line.group for line in lines], contract, own.rule)
        for lines in (reference, _as_reference(known), _as_reference(unknown))
    )
    figures = (
        scores(
            known.records, known.probabilities, known.doubts, contract.classes, config
        ).model_dump(mode="json")
        if known.records
        else {"images": 0}
    )
    report = {
        "tag": scored.pointer.tag,
        **figures,
        "known": novelty(same, home, draws=config.draws).model_dump(mode="json"),
        "unknown": novelty(other, home, draws=config.draws).model_dump(mode="json"),
        "unknown_against_known": novelty(other, same, draws=config.draws).model_dump(mode="json"),
    }
    return report, predictions_csv(known, unknown)


def _own_evaluation(
    pointer: Pointer, store: ArtifactStore
) -> "tuple[EvaluationReport, list[ReferenceRecord]]":
    """What a promoted model scored on its locked part, and its answers there."""
    from pipeline.steps.evaluation_report import EvaluationReport

    evaluation = store.open(pointer.evaluation, EvaluationManifest)
    report = EvaluationReport.model_validate_json(store.read(evaluation, "report.json"))
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    return report, [ReferenceRecord.model_validate_json(line) for line in lines]


def drift_records(archive: str, name: str) -> tuple[list[ReferenceRecord], list[ReferenceRecord]]:
    """An archive as the champion would log it, and the champion's drift reference."""
    scored = _score(archive, name, "champion")
    answers = [*_as_reference(scored.known), *_as_reference(scored.unknown)]
    return answers, _own_evaluation(scored.pointer, open_store())[1]


def _as_reference(answers: "Answers") -> list[ReferenceRecord]:
    return [
        ReferenceRecord(group=record.group, cell=record.cell, truth=record.label, record=said)
        for record, said in zip(answers.records, answers.predictions, strict=True)
    ]


def _score(archive: str, name: str, model: str) -> Scored:
    from pipeline.steps.answers import answer
    from pipeline.steps.images import read_images

    store = open_store()
    pointer = find_model(name, model)
    served = store.open(pointer.served, ServedManifest)
    config = RunConfig(contract=served.manifest.contract, validation=EVERYTHING)
    when = RunContext.now("archive", "").created_at
    with (
        tempfile.TemporaryDirectory() as folder,
        _grouped(archive, config) as grouped,
    ):
        files = store.fetch(served, Path(folder))
        known, unknown = (
            answer(read_images(grouped.store, records), served, files, when)
            for records in (grouped.records, _of_no_class(grouped, config))
        )
    return Scored(pointer, known, unknown)


def _of_no_class(grouped: Grouped, config: RunConfig) -> list[Record]:
    """Images in folders that are no class of the model, each a group of its own."""
    classes = {name.casefold() for name in config.contract.classes}
    return [
        record.model_copy(update={"group": record.sha256, "cell": record.sha256})
        for record in grouped.store.records(grouped.snapshot)
        if record.label.casefold() not in classes
    ]
