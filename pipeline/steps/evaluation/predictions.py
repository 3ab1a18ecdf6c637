"""Predictions: a served bundle over labelled images, exactly as the service computes them."""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pipeline.artifacts import Artifact, ServedManifest
from pipeline.contract.decision import ReviewRule, decide, read_review
from pipeline.contract.image_stats import image_stats
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord
from pipeline.contract.preprocessing import prepare
from pipeline.engine.serving_engine import Engine
from pipeline.records import Record, escape_formula
from pipeline.statistics.groups import Floats


@dataclass(frozen=True)
class Predictions:
    """A model's predictions for labelled images, in the order of `records`."""

    records: list[Record]
    logged: list[PredictionRecord]
    """As the service logs them."""
    probabilities: Floats
    """(n, classes)"""
    uncertainties: Floats
    """(n,), from `decide`."""

    def __iter__(self) -> Iterator[tuple[Record, PredictionRecord]]:
        """Iterate over (record, logged prediction), image by image."""
        return zip(self.records, self.logged, strict=True)

    def reference(self) -> list[ReferenceRecord]:
        """The predictions with truth, group and cell: the reference of the drift test."""
        return [
            ReferenceRecord(group=record.group, cell=record.cell, truth=record.label, record=logged)
            for record, logged in self
        ]


def request_id(record: Record) -> str:
    """Request id in the log of an archive's image: the first 16 digits of the image's hash."""
    return record.sha256[:16]


def predict_images(
    images: Iterable[tuple[Record, bytes]],
    served: Artifact[ServedManifest],
    folder: Path,
    when: datetime,
) -> Predictions:
    """Predict images as the service does, one by one; ArtifactError if the bundle cannot be served.

    Args:
        images: labelled records with their bytes.
        served: the bundle.
        folder: the bundle's files.
        when: time of the logged predictions.

    Raises:
        ArtifactError: when the bundle has no review rule, or was trained with another
            preprocessing version.
    """
    contract = served.manifest.contract
    contract.require_current()
    engine, rule = Engine(folder, served.manifest.parity.precision), read_review(folder, contract)
    predictor = _Predictor(engine, rule, contract, served.manifest.tag, when)
    results = [(record, *predictor.predict(record, data)) for record, data in images]
    return Predictions(
        records=[record for record, *_ in results],
        logged=[logged for _, logged, *_ in results],
        probabilities=np.reshape(
            [probabilities for *_, probabilities, _ in results],
            (len(results), len(contract.classes)),
        ),
        uncertainties=np.array([uncertainty for *_, uncertainty in results]),
    )


@dataclass(frozen=True)
class _Predictor:
    """A loaded bundle, which predicts one image at a time."""

    engine: Engine
    rule: ReviewRule
    contract: ModelContract
    tag: str
    when: datetime

    def predict(self, record: Record, data: bytes) -> tuple[PredictionRecord, Floats, float]:
        """The logged prediction for an image, its probabilities (classes,) and uncertainty."""
        prepared = prepare(data, self.contract)
        probabilities, embedding = (x[0] for x in self.engine.predict(prepared.crop[None]))
        decision = decide(
            probabilities.tolist(), embedding, prepared.cell_found, self.contract, self.rule
        )
        logged = PredictionRecord(
            request_id=request_id(record),
            time=self.when,
            tag=self.tag,
            route="evaluate",
            label=decision.label,
            decision=decision.decision,
            probabilities={
                name: round(float(p), 5)
                for name, p in zip(self.contract.classes, probabilities, strict=True)
            },
            cell_found=prepared.cell_found,
            stats=image_stats(prepared),
            embedding=tuple(round(float(v), 4) for v in embedding),
        )
        return logged, probabilities.astype(np.float64), decision.uncertainty


def predictions_csv(*parts: Predictions) -> str:
    """CSV with `file,label,predicted,confidence,decision,p_<CLASS>...,group,cell` of each image.

    A name that a spreadsheet would run as a formula gets an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    rows = [row for part in parts for row in part]
    classes = list(rows[0][1].probabilities) if rows else []
    columns = ["predicted", "confidence", "decision", *(f"p_{name}" for name in classes)]
    writer.writerow(["file", "label", *columns, "group", "cell"])
    for record, logged in rows:
        probabilities = logged.probabilities.values()
        file, label, predicted, group = map(
            escape_formula, (record.file, record.label, logged.label, record.group)
        )
        scores = (max(probabilities), logged.decision, *probabilities)
        writer.writerow([file, label, predicted, *scores, group, record.cell])
    return out.getvalue()
