"""Scoring: a served bundle over labelled images, and what its answers are worth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import Artifact, Frozen, Record, ServedManifest
from pipeline.contract.decision import decide
from pipeline.contract.image_stats import image_stats
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.contract.preprocessing import Pixels, prepare
from pipeline.errors import InvalidInputError
from pipeline.modeling.engine import Engine
from pipeline.modeling.metrics import (
    Interval,
    Ints,
    balanced_accuracy,
    calibration_error,
    confusion,
    group_bootstrap,
    group_codes,
    sensitivities,
    vote,
)


@dataclass(frozen=True)
class Answers:
    """A model's answers to labelled images, in the order of `records`."""

    records: list[Record]
    predictions: list[PredictionRecord]
    probabilities: NDArray[np.float64]
    """(n, classes)"""
    crops: Pixels
    """(n, size, size, 3) uint8"""


class Scores(Frozen):
    """What the answers are worth, per image and per cell."""

    images: int
    cells: int
    classes: tuple[str, ...]
    balanced_accuracy: Interval
    accuracy: Interval
    cell_balanced_accuracy: Interval
    sensitivity: dict[str, Interval]
    calibration_error: float
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the prediction."""


def answer(
    images: Iterable[tuple[Record, bytes]],
    served: Artifact[ServedManifest],
    folder: Path,
    when: datetime,
) -> Answers:
    """Answer images exactly as the service would.

    Args:
        images: labelled records with their bytes.
        served: the bundle.
        folder: its fetched files.
        when: the time the answers are stamped with.
    """
    contract = served.manifest.contract
    engine = Engine.of(folder, served.manifest.parity)
    records, predictions, rows, crops = [], [], [], []
    for record, data in images:
        prepared = prepare(data, contract)
        probabilities, embedding = engine.predict(prepared.crop[None])
        decision = decide(probabilities[0].tolist(), prepared.cell_found, contract)
        predictions.append(
            PredictionRecord(
                request_id=record.sha256[:16],
                time=when,
                tag=served.manifest.tag,
                route="evaluate",
                label=decision.label,
                decision=decision.decision,
                probabilities={
                    name: round(float(p), 5)
                    for name, p in zip(contract.classes, probabilities[0], strict=True)
                },
                cell_found=prepared.cell_found,
                stats=image_stats(prepared),
                embedding=tuple(round(float(v), 4) for v in embedding[0]),
            )
        )
        records.append(record)
        rows.append(probabilities[0].astype(np.float64))
        crops.append(prepared.crop)
    return Answers(records, predictions, np.array(rows), np.array(crops))


def scores(
    records: Sequence[Record],
    probabilities: NDArray[np.float64],
    classes: tuple[str, ...],
    *,
    draws: int,
    seed: int = 0,
) -> Scores:
    """Score answers; intervals resample cells, never images.

    Raises:
        InvalidInputError: when there is nothing to score.
    """
    if not records:
        raise InvalidInputError("nothing to score", expected="labelled images", received="none")
    truth = np.array([classes.index(record.label) for record in records], np.int64)
    predicted = probabilities.argmax(axis=1)
    codes = group_codes([record.group for record in records])
    count = len(classes)
    cell_truth = truth[np.unique(codes, return_index=True)[1]]
    cell_predicted = vote(probabilities, codes).argmax(axis=1)
    cell_codes = np.arange(len(cell_truth))
    found = {
        name: group_bootstrap(
            partial(_sensitivity, truth, predicted, count, index),
            codes,
            truth,
            draws=draws,
            seed=seed,
        )
        for index, name in enumerate(classes)
        if (truth == index).any()
    }
    return Scores(
        images=len(records),
        cells=len(cell_truth),
        classes=classes,
        balanced_accuracy=group_bootstrap(
            lambda w: balanced_accuracy(truth, predicted, count, w),
            codes,
            truth,
            draws=draws,
            seed=seed,
        ),
        accuracy=group_bootstrap(
            lambda w: float(np.average(truth == predicted, weights=w)),
            codes,
            truth,
            draws=draws,
            seed=seed,
        ),
        cell_balanced_accuracy=group_bootstrap(
            lambda w: balanced_accuracy(cell_truth, cell_predicted, count, w),
            cell_codes,
            cell_truth,
            draws=draws,
            seed=seed,
        ),
        sensitivity=found,
        calibration_error=calibration_error(probabilities.max(axis=1), truth == predicted),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion(truth, predicted, count)),
    )


def _sensitivity(
    truth: Ints, predicted: Ints, count: int, index: int, weight: NDArray[np.float64]
) -> float:
    return float(sensitivities(truth, predicted, count, weight)[index])
