"""Evaluation entry points: score a challenger, or any promoted model on a labelled archive."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import (
    BundleManifest,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
)
from pipeline.config import EvaluateConfig, RunConfig, ValidateConfig
from pipeline.contract.decoding import decode
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.entrypoints.cells import Grouped, grouped
from pipeline.entrypoints.jobs.job import open_job, open_store
from pipeline.entrypoints.jobs.mlflow_run import tell, tracked_run, until_it_fails
from pipeline.entrypoints.jobs.pages import publish
from pipeline.entrypoints.registry import find_model
from pipeline.errors import InvalidInputError
from pipeline.records import Quarantined, Record
from pipeline.run import RunContext

if TYPE_CHECKING:
    from pipeline.steps.evaluation.evaluation_report import EvaluationReport
    from pipeline.steps.evaluation.omissions import Omissions
    from pipeline.steps.evaluation.predictions import Predictions

EVERYTHING = ValidateConfig(min_images_per_class=0, max_quarantined_share=1.0)
"""An archive that is only scored may be small and may hold what the model does not know."""


def evaluate(config: str, run_id: str, served: str, bundle: str, split: str) -> str:
    """Score what serves on the locked part and write the drift reference."""
    from pipeline.steps.evaluation.evaluate import evaluate as step
    from pipeline.steps.evaluation.run_log import track_evaluation

    job = open_job(config, run_id)
    opened = job.open(served, ServedManifest)
    source = job.open(bundle, BundleManifest)
    parted = job.open(split, SplitManifest)
    first = opened.manifest.tracking_run
    with until_it_fails(job, first):
        done = step(opened, parted, job.config, store=job.store, run=job.run)
        badge = f"{done.report.scores.balanced_accuracy.value:.1%}"
        beside = ("report.json", "model_card.md")
        publish(job, done.artifact, "evaluation", "report.html", badge, beside)
    tracked = tracked_run(job, first)
    tell(
        tracked,
        lambda: track_evaluation(job.tracking, tracked, source, done, store=job.store),
    )
    return done.artifact.uri


@dataclass(frozen=True)
class Scored:
    """A model's answers to an archive: images of its own classes, and of others."""

    pointer: Pointer
    known: "Predictions"
    unknown: "Predictions"
    """Of folders whose name is no class of the model: only their review decision counts."""
    skipped: list[Quarantined]
    """Not answered, and why."""
    omissions: "Omissions"


def evaluate_archive(
    archive: str, name: str, model: str
) -> "tuple[dict[str, object], str, Omissions]":
    """Score a model on any labelled archive: report, predictions as CSV, what is not scored.

    The report tells how far the archive stands out from the model's own held-out images: that is
    near 0.5 for the same laboratory, near 1 for another, and in between for classes that the model
    does not know. It and the CSV also tell which images are scored as no class of the model, or not
    at all.
    """
    from pipeline.steps.evaluation.omissions import archive_csv
    from pipeline.steps.evaluation.scoring import score_predictions
    from pipeline.steps.experiments.novelty import novelty, novelty_scores

    scored, store = _score(archive, name, model), open_store()
    known, unknown = scored.known, scored.unknown
    contract = store.open(scored.pointer.served, ServedManifest).manifest.contract
    own, reference = _own_evaluation(scored.pointer, store)
    config = EvaluateConfig(prevalence=own.scores.prevalence)
    of_reference, of_known, of_unknown = (
        novelty_scores(lines, contract, own.rule)
        for lines in (reference, known.reference(), unknown.reference())
    )
    figures = (
        score_predictions(
            known.records, known.probabilities, known.uncertainties, contract.classes, config
        ).model_dump(mode="json")
        if known.records
        else {"images": 0}
    )
    separation = {
        "known": novelty(of_known, of_reference, draws=config.draws),
        "unknown": novelty(of_unknown, of_reference, draws=config.draws),
        "unknown_against_known": novelty(of_unknown, of_known, draws=config.draws),
    }
    report = {
        "tag": scored.pointer.tag,
        **figures,
        **scored.omissions.model_dump(),
        **{name: one.model_dump(mode="json") for name, one in separation.items()},
    }
    return report, archive_csv(known, unknown, scored.skipped), scored.omissions


def drift_records(
    archive: str, name: str
) -> "tuple[list[ReferenceRecord], list[ReferenceRecord], Omissions]":
    """An archive as the champion would log it, the champion's drift reference, what is left out."""
    scored = _score(archive, name, "champion")
    predictions = [*scored.known.reference(), *scored.unknown.reference()]
    return predictions, _own_evaluation(scored.pointer, open_store())[1], scored.omissions


def _own_evaluation(
    pointer: Pointer, store: ArtifactStore
) -> "tuple[EvaluationReport, list[ReferenceRecord]]":
    """What a promoted model scored on its locked part, and its answers there."""
    from pipeline.steps.evaluation.evaluation_report import EvaluationReport

    evaluation = store.open(pointer.evaluation, EvaluationManifest)
    report = EvaluationReport.model_validate_json(store.read(evaluation, "report.json"))
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    return report, [ReferenceRecord.model_validate_json(line) for line in lines]


def _score(archive: str, name: str, model: str) -> Scored:
    from pipeline.adapters.image_packs import read_images
    from pipeline.steps.evaluation.omissions import is_unknown, omissions
    from pipeline.steps.evaluation.predictions import predict_images

    store = open_store()
    pointer = find_model(name, model)
    served = store.open(pointer.served, ServedManifest)
    config = RunConfig(contract=served.manifest.contract, validation=EVERYTHING)
    when = RunContext.now("archive", "").created_at
    with (
        tempfile.TemporaryDirectory() as folder,
        grouped(archive, config) as found,
    ):
        files = store.fetch(served, Path(folder))
        aside = _without_unreadable(found)
        others = [_alone(image) for image in aside if is_unknown(image)]
        known, unknown = (
            predict_images(read_images(found.store, records), served, files, when)
            for records in (found.records, others)
        )
    skipped = [image for image in aside if not is_unknown(image)]
    left_out = omissions(aside, config.contract.classes, found.duplicates)
    return Scored(pointer, known, unknown, skipped, left_out)


def _without_unreadable(found: Grouped) -> list[Quarantined]:
    """What was set aside; of no class is only what can be read, for no validation looked at it."""
    from pipeline.adapters.image_packs import read_images
    from pipeline.steps.evaluation.omissions import is_unknown

    reasons = {}
    foreign = [_alone(image) for image in found.quarantined if is_unknown(image)]
    for record, data in read_images(found.store, foreign):
        try:
            decode(data)
        except InvalidInputError as error:
            reasons[record.sha256] = error.message
    return [
        image.model_copy(update={"reason": reasons.get(image.sha256, image.reason)})
        for image in found.quarantined
    ]


def _alone(image: Quarantined) -> Record:
    """The record of an image of no class, a group of its own."""
    said = image.model_dump(exclude={"reason"})
    return Record(**said, group=image.sha256, cell=image.sha256)
