"""Evaluate: both engines on the locked part, and the reference that drift is measured against."""

import csv
import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    EvaluationManifest,
    Frozen,
    ServedManifest,
    SplitManifest,
    canonical_json,
)
from pipeline.config import RunConfig
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.run import RunContext
from pipeline.steps.images import read_images
from pipeline.steps.scoring import Answers, Scores, answer, scores

log = logging.getLogger(__name__)


class EngineParity(Frozen):
    """How the exported engine compares with Keras on the locked part."""

    top1_agreement: float
    max_probability_difference: float
    keras_balanced_accuracy: float


class EvaluationReport(Frozen):
    """`report.json` of an evaluation."""

    tag: str
    scores: Scores
    parity: EngineParity


@dataclass(frozen=True)
class Evaluated:
    """An evaluation and the report it holds."""

    artifact: Artifact[EvaluationManifest]
    report: EvaluationReport


def evaluate(
    served: Artifact[ServedManifest],
    bundle: Artifact[BundleManifest],
    split: Artifact[SplitManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Evaluated:
    """Score a model on the locked test part.

    Args:
        served: the exported bundle, answered as the service would.
        bundle: its Keras source, answered by Keras.
        split: whose `test` records count.
        config: number of resamples.
    """
    records = store.records(split)
    held = [record for record in records if record.part == "test"]
    log.info("evaluate: %d held-out images", len(held))
    with tempfile.TemporaryDirectory() as scratch:
        folder = store.fetch(served, Path(scratch) / "served")
        answers = answer(read_images(store, held), served, folder, run.created_at)
        source = store.fetch(bundle, Path(scratch) / "bundle", ["model.keras"])
        report = EvaluationReport(
            tag=served.manifest.tag,
            scores=scores(
                answers.records,
                answers.probabilities,
                served.manifest.contract.classes,
                draws=config.gate.draws,
            ),
            parity=_parity(source / "model.keras", answers, served.manifest.contract.classes),
        )
        artifact = _publish(report, answers, served, split, store=store, run=run)
    log.info("evaluate done: %s", artifact.uri)
    return Evaluated(artifact, report)


def _parity(model_file: Path, answers: Answers, classes: Sequence[str]) -> EngineParity:
    import keras

    from pipeline.modeling.metrics import balanced_accuracy
    from pipeline.modeling.saving import predict

    model = keras.models.load_model(model_file, compile=False)
    said, _ = predict(model, answers.crops)
    truth = np.array([classes.index(record.label) for record in answers.records], np.int64)
    first = said.argmax(axis=1)
    difference = np.abs(said - answers.probabilities).max()
    return EngineParity(
        top1_agreement=float((first == answers.probabilities.argmax(axis=1)).mean()),
        max_probability_difference=round(float(difference), 5),
        keras_balanced_accuracy=balanced_accuracy(truth, first, len(classes), np.ones(len(truth))),
    )


def _publish(
    report: EvaluationReport,
    answers: Answers,
    served: Artifact[ServedManifest],
    split: Artifact[SplitManifest],
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[EvaluationManifest]:
    reference = [
        ReferenceRecord(group=record.group, truth=record.label, record=said)
        for record, said in zip(answers.records, answers.predictions, strict=True)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "report.json").write_text(canonical_json(report.model_dump(mode="json")))
        (folder / "predictions.csv").write_text(predictions_csv(answers))
        lines = [line.model_dump_json() for line in reference]
        (folder / "reference.jsonl").write_text("\n".join(lines) + "\n")
        manifest = EvaluationManifest(
            name=served.manifest.name,
            tag=served.manifest.tag,
            inputs={"served": served.uri, "split": split.uri},
            counts={"images": report.scores.images, "cells": report.scores.cells},
            **run.model_dump(),
        )
        return store.publish(folder, manifest)


def predictions_csv(*parts: Answers) -> str:
    """Columns `file,label,predicted,confidence,decision,p_<CLASS>...`, one row an image."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    said_of = [pair for part in parts for pair in zip(part.records, part.predictions, strict=True)]
    classes = list(said_of[0][1].probabilities) if said_of else []
    writer.writerow(
        ["file", "label", "predicted", "confidence", "decision", *(f"p_{name}" for name in classes)]
    )
    for record, said in said_of:
        shares = said.probabilities.values()
        writer.writerow(
            [record.file, record.label, said.label, max(shares), said.decision, *shares]
        )
    return out.getvalue()
