"""Evaluate: what serves on the locked part, and the reference that drift is measured against."""

import csv
import io
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import (
    Artifact,
    EvaluationManifest,
    ServedManifest,
    SplitManifest,
    canonical_json,
)
from pipeline.config import RunConfig
from pipeline.contract.decision import read_review
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.run import RunContext
from pipeline.steps.evaluation import evaluation_page
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.lineage import trace
from pipeline.steps.evaluation.mistakes import explain_mistakes, worst_mistakes
from pipeline.steps.evaluation.model_card import model_card
from pipeline.steps.evaluation.predictions import Predictions, predict_images
from pipeline.steps.evaluation.scoring import score_predictions

log = logging.getLogger(__name__)
FIGURES, PAGE, CARD = "report.json", "report.html", "model_card.md"


@dataclass(frozen=True)
class Evaluated:
    """An evaluation and the report it holds."""

    artifact: Artifact[EvaluationManifest]
    report: EvaluationReport


def evaluate(
    served: Artifact[ServedManifest],
    split: Artifact[SplitManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Evaluated:
    """Score a model on the locked test part.

    Args:
        served: the exported bundle, answered as the service would.
        split: whose `test` records count.
        config: prevalence, number of resamples and of mistakes to show.
    """
    records = store.records(split)
    held = [record for record in records if record.part == "test"]
    log.info("evaluate: %d held-out images", len(held))
    contract = served.manifest.contract
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.fetch(served, Path(scratch) / "served")
        answers = predict_images(read_images(store, held), served, folder, run.created_at)
        report = EvaluationReport(
            tag=served.manifest.tag,
            scores=score_predictions(
                answers.records,
                answers.probabilities,
                answers.uncertainties,
                contract.classes,
                config.evaluate,
            ),
            parity=served.manifest.parity,
            rule=read_review(folder, contract),
            mistakes=worst_mistakes(answers, config.evaluate.worst),
        )
    with tempfile.TemporaryDirectory() as scratch:
        _write(Path(scratch), report, answers)
        evidence = explain_mistakes(report.mistakes, held, served, store=store)
        page = evaluation_page.render(report, evidence, served.manifest)
        (Path(scratch) / PAGE).write_text(page)
        lineage = trace(served.uri, store)
        (Path(scratch) / CARD).write_text(
            model_card(report, served.manifest, records, lineage, config)
        )
        artifact = store.publish(Path(scratch), _manifest(report, served, split, run))
    log.info("evaluate done: %s", artifact.uri)
    return Evaluated(artifact, report)


def _write(folder: Path, report: EvaluationReport, answers: Predictions) -> None:
    """The figures, every answer as a table, and the reference that drift is measured against."""
    (folder / FIGURES).write_text(canonical_json(report.model_dump(mode="json")))
    (folder / "predictions.csv").write_text(predictions_csv(answers))
    reference = [
        ReferenceRecord(group=record.group, cell=record.cell, truth=record.label, record=said)
        for record, said in zip(answers.records, answers.predictions, strict=True)
    ]
    lines = [line.model_dump_json() for line in reference]
    (folder / "reference.jsonl").write_text("\n".join(lines) + "\n")


def _manifest(
    report: EvaluationReport,
    served: Artifact[ServedManifest],
    split: Artifact[SplitManifest],
    run: RunContext,
) -> EvaluationManifest:
    return EvaluationManifest(
        name=served.manifest.name,
        tag=served.manifest.tag,
        inputs={"served": served.uri, "split": split.uri},
        counts={"images": report.scores.images, "cells": report.scores.cells},
        **run.model_dump(),
    )


def predictions_csv(*parts: Predictions) -> str:
    """`file,label,predicted,confidence,decision,p_<CLASS>...,group,cell`, one row an image."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    said_of = [pair for part in parts for pair in zip(part.records, part.predictions, strict=True)]
    classes = list(said_of[0][1].probabilities) if said_of else []
    columns = ["predicted", "confidence", "decision", *(f"p_{name}" for name in classes)]
    writer.writerow(["file", "label", *columns, "group", "cell"])
    for record, said in said_of:
        shares = said.probabilities.values()
        answer = (said.label, max(shares), said.decision, *shares)
        writer.writerow([record.file, record.label, *answer, record.group, record.cell])
    return out.getvalue()
