"""Evaluate: score a served bundle on the locked test part, and write the drift reference."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, EvaluationManifest, ServedManifest, SplitManifest
from pipeline.config.evaluation import EvaluateConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import read_review
from pipeline.digests import canonical_json
from pipeline.run_context import RunContext
from pipeline.steps.evaluation import evaluation_page
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.lineage import trace
from pipeline.steps.evaluation.mistakes import explain_mistakes, worst_mistakes
from pipeline.steps.evaluation.model_card import model_card
from pipeline.steps.evaluation.predictions import Predictions, predict_images, predictions_csv
from pipeline.steps.evaluation.scoring import score_predictions

log = logging.getLogger(__name__)
FIGURES, PAGE, CARD = "report.json", "report.html", "model_card.md"


@dataclass(frozen=True)
class Evaluated:
    """Result of the step: the served bundle, its evaluation artefact and the report."""

    served: Artifact[ServedManifest]
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
    """Score a bundle on the locked test part; publish one artefact: report, card and reference."""
    records = store.records(split)
    test = [record for record in records if record.part == "test"]
    log.info("evaluate: %d images of the test part", len(test))
    with tempfile.TemporaryDirectory() as scratch:
        bundle = store.fetch(served, Path(scratch) / "served")
        predictions = predict_images(read_images(store, test), served, bundle, run.created_at)
        report = _report(predictions, served.manifest, bundle, config.evaluate)
    explained = explain_mistakes(report.mistakes, test, served, store=store)
    card = model_card(report, served.manifest, records, trace(served.uri, store), config)
    files = {
        FIGURES: canonical_json(report.model_dump(mode="json")),
        PAGE: evaluation_page.render(report, explained, served.manifest),
        CARD: card,
        "predictions.csv": predictions_csv(predictions),
        "reference.jsonl": "".join(f"{r.model_dump_json()}\n" for r in predictions.reference()),
    }
    manifest = EvaluationManifest(
        name=served.manifest.name,
        tag=served.manifest.tag,
        inputs={"served": served.uri, "split": split.uri},
        counts={"images": report.scores.images, "cells": report.scores.cells},
        **run.model_dump(),
    )
    artifact = store.publish_texts(files, manifest)
    log.info("evaluate done: %s", artifact.uri)
    return Evaluated(served, artifact, report)


def _report(
    predictions: Predictions, served: ServedManifest, bundle: Path, config: EvaluateConfig
) -> EvaluationReport:
    """Compute the metrics, and add parity, review rule and the worst mistakes."""
    return EvaluationReport(
        tag=served.tag,
        scores=score_predictions(
            predictions.records,
            predictions.probabilities,
            predictions.uncertainties,
            served.contract.classes,
            config,
        ),
        parity=served.parity,
        rule=read_review(bundle, served.contract),
        mistakes=worst_mistakes(predictions, config.worst),
    )
