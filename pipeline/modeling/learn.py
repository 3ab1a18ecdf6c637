"""Everything a training learns from cached activations: weights, temperature, review, embedding."""

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
from pipeline.modeling.network import Projection, classifier, pooled
from pipeline.modeling.review import fit_review
from pipeline.modeling.weights import Arrays

_LEVEL_SAMPLE = 512
_BLOCK = 256


@dataclass(frozen=True)
class Learned:
    """What stands behind the freeze boundary."""

    trained: keras.Model
    """Activations to logits."""
    temperature: float
    review: ReviewRule
    projection: Projection
    curve: list[Epoch]


def learn(
    arrays: Arrays,
    examples: Examples,
    held_out: Examples,
    config: RunConfig,
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None],
) -> Learned:
    """Train on examples; calibrate, and set the limits of review, on cells that were held out.

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
    review = fit_review(
        projection(averaged).astype(np.float64),
        examples.weights.astype(np.float64),
        projection(averages(held_out)).astype(np.float64),
        softmax(logits / temperature, axis=1),
        held_weights,
        config.review,
    )
    return Learned(trained, temperature, review, projection, curve)


def averages(examples: Examples) -> NDArray[np.float32]:
    """Mean activation of each plain crop (n, channels), a few images in memory at a time."""
    count = len(examples.labels)
    parts = [
        examples.plain(range(start, min(start + _BLOCK, count))).mean(axis=(1, 2))
        for start in range(0, count, _BLOCK)
    ]
    return np.concatenate(parts)


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` of `count` places, evenly apart."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))
