"""Evaluation entry points: score a challenger, or any promoted model on a labelled archive."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.artifacts import (
    BundleManifest,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
)
from pipeline.config.archive_limits import ALL_FILES, IngestConfig, PathFilter
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.run_config import RunConfig
from pipeline.config.validation_limits import ValidateConfig
from pipeline.contract.decoding import decode
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.entrypoints.cells import Grouped, grouped
from pipeline.entrypoints.jobs.best_effort_mlflow import fail_run_on_error, log_result
from pipeline.entrypoints.jobs.job import open_job, open_store
from pipeline.entrypoints.jobs.report_pages import publish
from pipeline.entrypoints.served_models import find_model
from pipeline.errors import InvalidInputError
from pipeline.records import Quarantined, Record, Skipped
from pipeline.run_context import RunContext

if TYPE_CHECKING:
    from pipeline.steps.evaluation.evaluation_report import EvaluationReport
    from pipeline.steps.evaluation.omissions import Omissions
    from pipeline.steps.evaluation.predictions import Predictions

ANY_DATASET = ValidateConfig(min_images_per_class=0, max_quarantined_share=1.0)
"""No minimum size and no maximum share quarantined, for an archive that is only scored."""


def evaluate(config: str, run_id: str, served: str, bundle: str, split: str) -> str:
    """Score the exported model on the locked test part, publish the report; returns its URI."""
    from pipeline.steps.evaluation.evaluate import evaluate as step
    from pipeline.steps.evaluation.mlflow_evaluation import track_evaluation

    job = open_job(config, run_id)
    opened = job.open(served, ServedManifest)
    source = job.open(bundle, BundleManifest)
    parted = job.open(split, SplitManifest)
    first = opened.manifest.tracking_run
    with fail_run_on_error(job, first):
        result = step(opened, parted, job.config, store=job.store, run=job.run)
        badge = f"{result.report.scores.balanced_accuracy.value:.1%}"
        files = ["report.html", "report.json", "model_card.md"]
        publish(job, result.artifact, "evaluation", badge, files)
    log_result(
        job, first, lambda run: track_evaluation(job.tracking, run, source, result, store=job.store)
    )
    return result.artifact.uri


@dataclass(frozen=True)
class Scored:
    """A model's predictions of an archive: images of its classes, and of unknown ones."""

    pointer: Pointer
    known: "Predictions"
    unknown: "Predictions"
    """Images in folders whose name is not a class of the model; only their decision is scored."""
    skipped: list[Quarantined | Skipped]
    """Images without a prediction, and files that are not read, and why."""
    omissions: "Omissions"


def evaluate_archive(
    archive: str, name: str, model: str, paths: PathFilter = ALL_FILES
) -> "tuple[dict[str, object], str, Omissions]":
    """Score a model on a labelled archive; returns report, predictions (CSV) and omissions.

    The report has the separation (AUROC of novelty) from the model's own held-out images: near 0.5
    for the same laboratory, near 1 for another one, and in between for unknown classes. Report and
    CSV show which images are scored as an unknown class, or skipped.
    """
    from pipeline.steps.evaluation.omissions import archive_csv
    from pipeline.steps.evaluation.scoring import score_predictions
    from pipeline.steps.experiments.novelty import novelty, novelty_scores

    scored, store = _score(archive, name, model, paths), open_store()
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
    archive: str, name: str, paths: PathFilter = ALL_FILES
) -> "tuple[list[ReferenceRecord], list[ReferenceRecord], Omissions]":
    """Predict an archive by the champion; returns predictions, drift reference and omissions."""
    scored = _score(archive, name, "champion", paths)
    predictions = [*scored.known.reference(), *scored.unknown.reference()]
    return predictions, _own_evaluation(scored.pointer, open_store())[1], scored.omissions


def _own_evaluation(
    pointer: Pointer, store: ArtifactStore
) -> "tuple[EvaluationReport, list[ReferenceRecord]]":
    """Read a promoted model's stored report and predictions on its locked test part."""
    from pipeline.steps.evaluation.evaluation_report import EvaluationReport

    evaluation = store.open(pointer.evaluation, EvaluationManifest)
    report = EvaluationReport.model_validate_json(store.read(evaluation, "report.json"))
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    return report, [ReferenceRecord.model_validate_json(line) for line in lines]


def _score(archive: str, name: str, model: str, paths: PathFilter) -> Scored:
    """Download a promoted model and predict every readable image of an archive."""
    from pipeline.adapters.image_packs import read_images
    from pipeline.steps.evaluation.omissions import is_unknown, omissions
    from pipeline.steps.evaluation.predictions import predict_images

    store = open_store()
    pointer = find_model(name, model)
    served = store.open(pointer.served, ServedManifest)
    ingest = IngestConfig(**paths.model_dump())
    config = RunConfig(contract=served.manifest.contract, ingest=ingest, validation=ANY_DATASET)
    when = RunContext.now("archive", "").created_at
    with (
        tempfile.TemporaryDirectory() as folder,
        grouped(archive, config) as images,
    ):
        files = store.fetch(served, Path(folder))
        quarantined = _with_unreadable(images)
        others = [_as_record(image) for image in quarantined if is_unknown(image)]
        known, unknown = (
            predict_images(read_images(images.store, records), served, files, when)
            for records in (images.records, others)
        )
    unread = [one for one in quarantined if not is_unknown(one)]
    left_out = omissions(
        [*quarantined, *images.skipped],
        config.contract.classes,
        known=len(images.records),
        duplicates=images.duplicates,
    )
    return Scored(pointer, known, unknown, [*unread, *images.skipped], left_out)


def _with_unreadable(images: Grouped) -> list[Quarantined]:
    """The quarantined images; those of unknown classes that cannot be decoded get that reason.

    Validation does not decode them.
    """
    from pipeline.adapters.image_packs import read_images
    from pipeline.steps.evaluation.omissions import is_unknown

    reasons = {}
    unknown = [_as_record(image) for image in images.quarantined if is_unknown(image)]
    for record, data in read_images(images.store, unknown):
        try:
            decode(data)
        except InvalidInputError as error:
            reasons[record.sha256] = error.message
    return [
        image.model_copy(update={"reason": reasons.get(image.sha256, image.reason)})
        for image in images.quarantined
    ]


def _as_record(image: Quarantined) -> Record:
    """Record of a quarantined image, which is its own group and cell."""
    fields = image.model_dump(exclude={"reason"})
    return Record(**fields, group=image.sha256, cell=image.sha256)
