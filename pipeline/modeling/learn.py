"""Everything a training learns from what was cached: weights, temperature, review, embedding."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.config import RunConfig
from pipeline.contract.decision import ReviewRule
from pipeline.modeling.calibration import fit_temperature
from pipeline.modeling.fit import Checkpoint, Epoch, Examples, fit, logits_of
from pipeline.modeling.head import Head, folds_of, solve
from pipeline.modeling.metrics import Bools, Floats, Ints
from pipeline.modeling.network import Projection, classifier, pooled
from pipeline.modeling.review import fit_review
from pipeline.modeling.weights import Arrays

_LEVEL_SAMPLE = 512
_BLOCK = 256
_MOST = 60_000
"""Images that a head is solved on, evenly chosen: half a gigabyte of regions."""


@dataclass(frozen=True)
class Learned:
    """What stands behind the freeze boundary."""

    trained: keras.Model
    """Regions or maps to logits."""
    temperature: float
    review: ReviewRule
    projection: Projection
    curve: list[Epoch]


def learn_head(examples: Examples, config: RunConfig, report: Callable[[Epoch], None]) -> Learned:
    """Solve a head on kept regions; calibrate, and set the limits of review, by cross-fitting.

    Each cell is answered by a head that was solved on other cells, so that every cell teaches and
    every cell calibrates.

    Args:
        examples: all that may be learned from, of at least two cells a class.
        config: contract and penalty.
        report: called with the one row of the curve: loss, and cross-fitted loss and accuracy.
    """
    rows = _spread(len(examples.labels), _MOST)
    plain = examples.plain(rows)
    labels, weights = examples.labels[rows], examples.weights[rows].astype(np.float64)
    names = [examples.views[row] for row in rows]
    of = np.repeat(np.arange(len(rows)), [len(crops) for crops in names])
    crops = examples.files.read([crop for row in names for crop in row]).astype(np.float64)
    each = (weights / np.bincount(of))[of]
    classes = len(config.contract.classes)

    def mean_of(projection: Projection, chosen: Bools) -> Floats:
        embedded = projection(plain[chosen]).astype(np.float64)
        return np.asarray(np.average(embedded, axis=0, weights=weights[chosen]))

    def fit_on(chosen: Bools) -> tuple[Head, Projection, Floats]:
        taken = chosen[of]
        head = solve(crops[taken], labels[of][taken], each[taken], classes, config.train.penalty)
        projection = Projection(plain[chosen], config.contract.embedding_size)
        return head, projection, mean_of(projection, chosen)

    logits, distances = np.empty((len(rows), classes)), np.empty(len(rows))
    folds = folds_of(examples.cells[rows], labels, config.train.folds)
    for fold in np.unique(folds):
        held = folds == fold
        head, projection, centre = fit_on(~held)
        logits[held] = head(plain[held].astype(np.float64))
        distances[held] = np.linalg.norm(projection(plain[held]) - centre, axis=1)
    temperature = fit_temperature(logits, labels, weights)
    head, projection, centre = fit_on(np.ones(len(rows), bool))
    shares = softmax(logits / temperature, axis=1)
    seen = softmax(head(plain.astype(np.float64)) / temperature, axis=1)
    curve = [_row(seen, shares, labels, weights)]
    report(curve[0])
    review = fit_review(centre, distances, shares, weights, config.review)
    return Learned(head.model(), temperature, review, projection, curve)


def _row(seen: Floats, held: Floats, labels: Ints, weights: Floats) -> Epoch:
    right = np.arange(len(labels)), labels
    loss, held_loss = (-np.average(np.log(one[right]), weights=weights) for one in (seen, held))
    accuracy = np.average(held.argmax(axis=1) == labels, weights=weights)
    return Epoch(
        epoch=1,
        loss=round(float(loss), 6),
        val_loss=round(float(held_loss), 6),
        val_accuracy=round(float(accuracy), 6),
    )


def learn_maps(
    arrays: Arrays,
    examples: Examples,
    held_out: Examples,
    config: RunConfig,
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None],
) -> Learned:
    """Train behind kept maps; calibrate, and set the limits of review, on held-out cells.

    Args:
        arrays: ImageNet's convolutions.
        examples: learned from.
        held_out: of other cells.
        config: contract, boundary and hyper-parameters.
        checkpoint: of the fit.
        report: called after every epoch.
    """
    sample = examples.plain(_spread(len(examples.labels), _LEVEL_SAMPLE))
    blocks = pooled(config.features.boundary, examples.files.shape, arrays)
    trained = classifier(blocks, sample, len(config.contract.classes), config.train.dropout)
    curve = fit(trained, examples, held_out, config.train, checkpoint, report)
    logits = logits_of(trained, held_out).astype(np.float64)
    held_weights = held_out.weights.astype(np.float64)
    temperature = fit_temperature(logits, held_out.labels, held_weights)
    averaged = averages(examples)
    projection = Projection(averaged, config.contract.embedding_size)
    centre = np.average(projection(averaged).astype(np.float64), 0, examples.weights)
    distances = np.linalg.norm(projection(averages(held_out)) - centre, axis=1)
    shares = softmax(logits / temperature, axis=1)
    review = fit_review(centre, distances, shares, held_weights, config.review)
    return Learned(trained, temperature, review, projection, curve)


def averages(examples: Examples) -> NDArray[np.float32]:
    """What the embedding is of: regions, or means of maps (n, values), a few images at a time."""
    count = len(examples.labels)
    blocks = (
        examples.plain(range(start, min(start + _BLOCK, count)))
        for start in range(0, count, _BLOCK)
    )
    return np.concatenate([kept.reshape(len(kept), -1, kept.shape[-1]).mean(1) for kept in blocks])


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` of `count` places, evenly apart."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))
