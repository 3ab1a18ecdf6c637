"""Fits a linear head or convolution blocks, with temperature, review rule and embedding."""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import ReviewRule
from pipeline.engine.frozen_network import Arrays
from pipeline.modeling.embedding import Projection
from pipeline.modeling.linear_head import Head, fit_linear_head, folds_of
from pipeline.modeling.network import classifier, pooled_blocks
from pipeline.modeling.training_loop import (
    Checkpoint,
    Epoch,
    Examples,
    FitExamples,
    curve_row,
    fit,
    logits_of,
)
from pipeline.statistics.calibration import fit_temperature
from pipeline.statistics.groups import Bools, Floats, Ints
from pipeline.statistics.review_rule import fit_review_rule

_SCALER_SAMPLE = 512
"""Images from which the mean and variance of the blocks' output are estimated."""
_BATCH = 256
_MAX_IMAGES = 60_000
"""Most images that a head is fitted to, evenly spaced: half a gigabyte of region means."""


@dataclass(frozen=True)
class FittedModel:
    """Trained layers behind the freeze boundary, with temperature, review rule and embedding."""

    trained: keras.Model
    """Region means or maps to logits."""
    temperature: float
    review: ReviewRule
    projection: Projection
    curve: list[Epoch]


def fit_head(examples: Examples, config: RunConfig, report: Callable[[Epoch], None]) -> FittedModel:
    """Fit a head on region means; temperature and review limits come from cross-fitting.

    Each group is predicted by a head that was fitted to the other folds, so that all cells are used
    for training as well as for calibration.

    Args:
        examples: training images, with at least two groups per class.
        config: contract and penalty.
        report: called with the curve's only row: loss, and cross-fitted loss and accuracy.
    """
    rows = _evenly_spaced(len(examples.labels), _MAX_IMAGES)
    means = _RegionMeans.load(examples, rows)
    logits = np.empty((len(rows), len(config.contract.classes)))
    distances = np.empty(len(rows))
    folds = folds_of(examples.groups[rows], means.labels, config.train.folds)
    for fold in np.unique(folds):
        held_out = folds == fold
        head, projection, centre = means.fit(~held_out, config)
        logits[held_out] = head(means.originals[held_out])
        embeddings = projection(means.originals[held_out])
        distances[held_out] = np.linalg.norm(embeddings - centre, axis=1)
    temperature = fit_temperature(logits, means.labels, means.weights)
    head, projection, centre = means.fit(np.ones(len(rows), bool), config)
    fitted, cross_fitted = (
        softmax(one / temperature, axis=1) for one in (head(means.originals), logits)
    )
    of_label = fitted[np.arange(len(rows)), means.labels]
    loss = float(-np.average(np.log(of_label), weights=means.weights))
    curve = [curve_row(1, loss, np.log(cross_fitted), means.labels, means.weights)]
    report(curve[0])
    review = fit_review_rule(centre, distances, cross_fitted, means.weights, config.review)
    return FittedModel(head.to_keras(), temperature, review, projection, curve)


@dataclass(frozen=True)
class _RegionMeans:
    """Region means of some images and of all their crops, in memory."""

    originals: NDArray[np.float32]
    """Of the original crops (n, values)."""
    labels: Ints
    weights: Floats
    crops: NDArray[np.float32]
    """Of the original and the jittered crops (m, values)."""
    owners: Ints
    """Image of each crop (m,)."""

    @classmethod
    def load(cls, examples: Examples, rows: Ints) -> "_RegionMeans":
        """Read the activations of all crops of the images at `rows` into memory."""
        by_image = [examples.crop_names[row] for row in rows]
        crops = examples.files.read([name for names in by_image for name in names])
        owners = np.repeat(np.arange(len(rows)), [len(names) for names in by_image])
        return cls(
            # The first crop of an image is the original one.
            originals=crops[np.searchsorted(owners, np.arange(len(rows)))].astype(np.float32),
            labels=examples.labels[rows],
            weights=examples.weights[rows].astype(np.float64),
            crops=crops.astype(np.float32),
            owners=owners,
        )

    def fit(self, chosen: Bools, config: RunConfig) -> tuple[Head, Projection, Floats]:
        """Fit a head, a projection and the mean embedding to the chosen images."""
        of_chosen = chosen[self.owners]
        owners = self.owners[of_chosen]
        head = fit_linear_head(
            self.crops[of_chosen].astype(np.float64),
            self.labels[owners],
            (self.weights / np.bincount(self.owners))[owners],
            len(config.contract.classes),
            config.train.penalty,
        )
        projection = Projection(self.originals[chosen], config.contract.embedding_size)
        embeddings = projection(self.originals[chosen]).astype(np.float64)
        return head, projection, np.average(embeddings, axis=0, weights=self.weights[chosen])


def fit_blocks(
    arrays: Arrays,
    examples: FitExamples,
    config: RunConfig,
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None],
) -> FittedModel:
    """Train convolution blocks on feature maps, writing checkpoints; calibrate on held-out cells.

    Args:
        arrays: ImageNet's convolutions.
        examples: to train and to calibrate on.
        config: contract, boundary and hyper-parameters.
        checkpoint: of the training loop.
        report: called after every epoch.
    """
    training, held_out = examples.training, examples.validation
    sample = training.originals(_evenly_spaced(len(training.labels), _SCALER_SAMPLE))
    blocks = pooled_blocks(config.features.boundary, training.files.shape, arrays)
    trained = classifier(blocks, sample, len(config.contract.classes), config.train.dropout)
    curve = fit(trained, examples, config.train, checkpoint, report)
    logits = logits_of(trained, held_out).astype(np.float64)
    held_weights = held_out.weights.astype(np.float64)
    temperature = fit_temperature(logits, held_out.labels, held_weights)
    vectors = embedding_inputs(training)
    projection = Projection(vectors, config.contract.embedding_size)
    centre = np.average(projection(vectors).astype(np.float64), 0, training.weights)
    distances = np.linalg.norm(projection(embedding_inputs(held_out)) - centre, axis=1)
    probabilities = softmax(logits / temperature, axis=1)
    review = fit_review_rule(centre, distances, probabilities, held_weights, config.review)
    return FittedModel(trained, temperature, review, projection, curve)


def embedding_inputs(examples: Examples) -> NDArray[np.float32]:
    """Vectors to embed (n, values), from disk: region means, or the spatial means of maps."""
    batches = examples.original_batches(_BATCH)
    return np.concatenate([one.reshape(len(one), -1, one.shape[-1]).mean(1) for one in batches])


def _evenly_spaced(count: int, limit: int) -> NDArray[np.int64]:
    """At most `limit` indices below `count`, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64))
