"""Parity check: the first serving engine whose predictions match Keras's."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.artifacts import Parity, Precision
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.golden_images import replay_golden
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.serving_engine import Engine
from pipeline.errors import ArtifactError
from pipeline.statistics.groups import Floats, Ints

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParityImages:
    """Images of the test part with Keras's predictions."""

    crops: Pixels
    """(n, size, size, 3) uint8"""
    truth: Ints
    """Class index of each label (n,)."""
    probabilities: Floats
    """Keras's probabilities (n, classes)."""


@dataclass(frozen=True)
class Candidate:
    """A serving engine to compare with Keras."""

    precision: Precision
    folder: Path
    """Folder of its model."""
    operations: float = 1.0
    """Share of the network's multiplications that remains, 0 to 1."""


def choose_engine(
    candidates: Iterable[Candidate],
    folder: Path,
    contract: ModelContract,
    images: ParityImages,
    gate: GateConfig,
) -> tuple[Candidate, Parity]:
    """Return the first engine that agrees with Keras, is as accurate and replays the golden images.

    Candidates come fastest first; no further one is built once one passes. `folder` contains the
    golden images.

    Raises:
        ArtifactError: when no engine passes.
    """
    tried = []
    for candidate in candidates:
        engine = Engine(candidate.folder, candidate.precision)
        probabilities = engine.predict(images.crops)[0].astype(np.float64)
        parity = compare(candidate, probabilities, images)
        log.info("parity: %s", parity)
        tried.append(parity)
        agrees = parity.top1_agreement >= gate.min_parity
        is_accurate = parity.accuracy_loss <= gate.max_parity_loss
        if agrees and is_accurate and _replays_golden(folder, contract, engine, parity):
            return candidate, parity
    raise ArtifactError(
        "no serving engine passes the parity check",
        expected=f"top-1 agreement with Keras of at least {gate.min_parity}, a loss of balanced "
        f"accuracy of at most {gate.max_parity_loss}, and the probabilities of the golden images",
        received="; ".join(
            f"{p.precision}: agreement {p.top1_agreement:.4f}, loss {p.accuracy_loss:.4f}"
            for p in tried
        ),
    )


def compare(candidate: Candidate, probabilities: Floats, images: ParityImages) -> Parity:
    """Compare an engine's probabilities (n, classes) with Keras's: agreement, loss, difference."""
    predicted, expected = probabilities.argmax(axis=1), images.probabilities.argmax(axis=1)
    loss = _balanced_accuracy(images, expected) - _balanced_accuracy(images, predicted)
    differences = np.abs(probabilities - images.probabilities)
    return Parity(
        precision=candidate.precision,
        operations=round(candidate.operations, 3),
        images=len(probabilities),
        top1_agreement=float((predicted == expected).mean()),
        max_probability_difference=round(float(differences.max()), 5),
        accuracy_loss=round(loss, 5),
    )


def _balanced_accuracy(images: ParityImages, predicted: Ints) -> float:
    """Balanced accuracy over the classes that are present."""
    from sklearn.metrics import recall_score

    present = np.unique(images.truth)
    return float(recall_score(images.truth, predicted, labels=present, average="macro"))


def _replays_golden(folder: Path, contract: ModelContract, engine: Engine, parity: Parity) -> bool:
    """Whether the engine gives the golden images their probabilities; logs why it does not."""
    try:
        replay_golden(folder, contract, engine.probabilities, parity.precision)
    except ArtifactError as error:
        log.info("parity: %s", error)
        return False
    return True
