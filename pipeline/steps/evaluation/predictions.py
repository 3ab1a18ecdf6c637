"""Predictions: a served bundle over labelled images, exactly as the service would answer them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pipeline.artifacts import Artifact, ServedManifest
from pipeline.contract.decision import decide, read_review
from pipeline.contract.image_stats import image_stats
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.contract.preprocessing import prepare
from pipeline.engine.engine import Engine
from pipeline.records import Record
from pipeline.statistics.metrics import Floats


@dataclass(frozen=True)
class Predictions:
    """A model's answers to labelled images, in the order of `records`."""

    records: list[Record]
    predictions: list[PredictionRecord]
    probabilities: Floats
    """(n, classes)"""
    uncertainties: Floats
    """As `decide` gives them (n,)."""


def request_id(record: Record) -> str:
    """What names the answer to an image of an archive."""
    return record.sha256[:16]


def predict_images(
    images: Iterable[tuple[Record, bytes]],
    served: Artifact[ServedManifest],
    folder: Path,
    when: datetime,
) -> Predictions:
    """Answer images exactly as the service would.

    Args:
        images: labelled records with their bytes.
        served: the bundle.
        folder: its fetched files.
        when: the time the answers are stamped with.

    Raises:
        ArtifactError: when the bundle has no review rule, or was trained on other pixels than
            this code cuts.
    """
    contract = served.manifest.contract
    contract.require_current()
    engine, rule = Engine.of(folder, served.manifest.parity), read_review(folder, contract)
    records, predictions, rows, uncertainties = [], [], [], []
    for record, data in images:
        prepared = prepare(data, contract)
        probabilities, embedding = (output[0] for output in engine.predict(prepared.crop[None]))
        decision = decide(probabilities.tolist(), embedding, prepared.cell_found, contract, rule)
        predictions.append(
            PredictionRecord(
                request_id=request_id(record),
                time=when,
                tag=served.manifest.tag,
                route="evaluate",
                label=decision.label,
                decision=decision.decision,
                probabilities={
                    name: round(float(p), 5)
                    for name, p in zip(contract.classes, probabilities, strict=True)
                },
                cell_found=prepared.cell_found,
                stats=image_stats(prepared),
                embedding=tuple(round(float(v), 4) for v in embedding),
            )
        )
        records.append(record)
        rows.append(probabilities.astype(np.float64))
        uncertainties.append(decision.uncertainty)
    shape = (len(records), len(contract.classes))
    return Predictions(records, predictions, np.reshape(rows, shape), np.array(uncertainties))
