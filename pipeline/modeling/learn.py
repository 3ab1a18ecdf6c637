"""Everything a training learns from what was cached: weights, temperature, review, embedding."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.config import RunConfig
from pipeline.contract.decision import ReviewRule
from pipeline.engine.frozen import Arrays
from pipeline.modeling.fit import Checkpoint, Epoch, Examples, fit, logits_of
from pipeline.modeling.head import Head, folds_of, solve
from pipeline.modeling.network import classifier, pooled
from pipeline.modeling.projection import Projection
from pipeline.statistics.calibration import fit_temperature
from pipeline.statistics.metrics import Bools, Floats, Ints
from pipeline.statistics.review import fit_review

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

    Each group is answered by a head that was solved on other groups, so that every cell teaches and
    every cell calibrates.

    Args:
        examples: all that may be learned from, of at least two groups a class.
        config: contract and penalty.
        report: called with the one row of the curve: loss, and cross-fitted loss and accuracy.
    """
    rows = _spread(len(examples.labels), _MOST)
    kept = _Kept.of(examples, rows)
    logits = np.empty((len(rows), len(config.contract.classes)))
    distances = np.empty(len(rows))
    folds = folds_of(examples.groups[rows], kept.labels, config.train.folds)
    for fold in np.unique(folds):
        held = folds == fold
        head, projection, centre = kept.fit(~held, config)
        logits[held] = head(kept.plain[held])
        distances[held] = np.linalg.norm(projection(kept.plain[held]) - centre, axis=1)
    temperature = fit_temperature(logits, kept.labels, kept.weights)
    head, projection, centre = kept.fit(np.ones(len(rows), bool), config)
    seen, shares = (softmax(one / temperature, axis=1) for one in (head(kept.plain), logits))
    curve = [_row(seen, shares, kept.labels, kept.weights)]
    report(curve[0])
    review = fit_review(centre, distances, shares, kept.weights, config.review)
    return Learned(head.model(), temperature, review, projection, curve)


@dataclass(frozen=True)
class _Kept:
    """Regions of some images in memory, and of all their crops."""

    plain: NDArray[np.float32]
    """(n, values)."""
    labels: Ints
    weights: Floats
    crops: NDArray[np.float32]
    """(m, values): the plain ones and, if there are any, the jittered ones."""
    owners: Ints
    """Image of each crop (m,)."""

    @classmethod
    def of(cls, examples: Examples, rows: Ints) -> "_Kept":
        views = [examples.views[row] for row in rows]
        crops = examples.files.read([name for names in views for name in names]).astype(np.float32)
        owners = np.repeat(np.arange(len(rows)), [len(names) for names in views])
        return cls(
            # An image's plain crop comes first.
            plain=crops[np.searchsorted(owners, np.arange(len(rows)))],
            labels=examples.labels[rows],
            weights=examples.weights[rows].astype(np.float64),
            crops=crops,
            owners=owners,
        )

    def fit(self, chosen: Bools, config: RunConfig) -> tuple[Head, Projection, Floats]:
        """Head, projection and its mean of the images chosen; crops share their image's weight."""
        taken = chosen[self.owners]
        owners = self.owners[taken]
        head = solve(
            self.crops[taken].astype(np.float64),
            self.labels[owners],
            (self.weights / np.bincount(self.owners))[owners],
            len(config.contract.classes),
            config.train.penalty,
        )
        projection = Projection(self.plain[chosen], config.contract.embedding_size)
        embedded = projection(self.plain[chosen]).astype(np.float64)
        return head, projection, np.average(embedded, axis=0, weights=self.weights[chosen])


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
