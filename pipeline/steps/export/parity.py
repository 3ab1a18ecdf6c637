"""Parity: which engine serves, so that its answers are Keras's."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.artifacts import Parity, Precision
from pipeline.config import GateConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.golden import replay
from pipeline.contract.spec import ModelContract
from pipeline.engine.engine import Engine
from pipeline.errors import ArtifactError
from pipeline.statistics.metrics import Floats, Ints

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParityImages:
    """Images of the locked part, and what Keras says of them."""

    crops: Pixels
    """(n, size, size, 3) uint8"""
    truth: Ints
    """Place of each label among the classes (n,)."""
    answers: Floats
    """Keras's probabilities (n, classes)."""


@dataclass(frozen=True)
class Candidate:
    """An engine that may serve."""

    precision: Precision
    place: Path
    """Folder of its model."""
    operations: float = 1.0
    """Share of the network's multiplications that it does, 0 to 1."""


def choose_engine(
    candidates: Iterable[Candidate],
    folder: Path,
    contract: ModelContract,
    held: ParityImages,
    gate: GateConfig,
) -> tuple[Candidate, Parity]:
    """The first engine that agrees with Keras, is as right, and repeats the golden images.

    Args:
        candidates: fastest first; none is asked for once one is accepted.
        folder: holds the golden images.
        contract: of the bundle.
        held: what is agreed on.
        gate: how far an engine may be from Keras.

    Raises:
        ArtifactError: when none does.
    """
    tried = []
    for candidate in candidates:
        engine = Engine(candidate.place, candidate.precision)
        parity = compare(candidate, engine.predict(held.crops)[0].astype(np.float64), held)
        log.info("parity: %s", parity)
        tried.append(parity)
        near = parity.top1_agreement >= gate.min_parity
        as_right = parity.accuracy_loss <= gate.max_parity_loss
        if near and as_right and _repeats_golden(folder, contract, engine, parity):
            return candidate, parity
    raise ArtifactError(
        "the serving engine does not give Keras's answers",
        expected=f"top-1 agreement of at least {gate.min_parity}, at most {gate.max_parity_loss} "
        "less balanced accuracy, and the golden answers",
        received="; ".join(
            f"{p.precision}: {p.top1_agreement:.4f}, {p.accuracy_loss:.4f} less" for p in tried
        ),
    )


def compare(candidate: Candidate, given: Floats, held: ParityImages) -> Parity:
    """How an engine's probabilities (n, classes) differ from Keras's."""
    named, keras = given.argmax(axis=1), held.answers.argmax(axis=1)
    loss = _balanced(held, keras) - _balanced(held, named)
    return Parity(
        precision=candidate.precision,
        operations=round(candidate.operations, 3),
        images=len(given),
        top1_agreement=float((named == keras).mean()),
        max_probability_difference=round(float(np.abs(given - held.answers).max()), 5),
        accuracy_loss=round(loss, 5),
    )


def _balanced(held: ParityImages, named: Ints) -> float:
    """Balanced accuracy over the classes that are present."""
    from sklearn.metrics import recall_score

    present = np.unique(held.truth)
    return float(recall_score(held.truth, named, labels=present, average="macro"))


def _repeats_golden(folder: Path, contract: ModelContract, engine: Engine, parity: Parity) -> bool:
    try:
        replay(folder, contract, lambda crop: engine.predict(crop[None])[0][0], parity.precision)
    except ArtifactError as error:
        log.info("parity: %s", error)
        return False
    return True
