"""Fitting a head on cached activations: early stopping and a checkpoint after every epoch."""

import io
import json
import logging
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import Frozen
from pipeline.config import TrainConfig

log = logging.getLogger(__name__)

Arrays = list[NDArray[np.float32]]


class Epoch(Frozen):
    """One row of the training curve."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Examples:
    """Activations (n, height, width, channels) float16, labels (n,) and weights (n,)."""

    features: NDArray[np.float16]
    labels: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass
class Progress:
    """Where a fit stands: everything that a resumed one needs."""

    curve: list[Epoch] = field(default_factory=list)
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    best: Arrays = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Index into the curve of the lowest validation loss."""
        return int(np.argmin([epoch.val_loss for epoch in self.curve]))


class Checkpoint:
    """One object, written whole by one put: there is no moment when half of it is visible."""

    def __init__(self, objects: ObjectStore, uri: str) -> None:
        self._objects = objects
        self._uri = uri

    def save(self, progress: Progress) -> None:
        """Replace the checkpoint."""
        out = io.BytesIO()
        parts = ("weights", "optimizer", "best")
        arrays = {
            f"{part}/{index:03d}": value
            for part in parts
            for index, value in enumerate(getattr(progress, part))
        }
        curve = json.dumps([epoch.model_dump() for epoch in progress.curve])
        np.savez(out, allow_pickle=False, curve=np.array(curve), **arrays)
        self._objects.write(self._uri, out.getvalue())

    def load(self) -> Progress:
        """The last checkpoint; a fresh start when there is none or it is torn."""
        found = self._objects.read_tagged(self._uri)
        if found is None:
            return Progress()
        try:
            with np.load(io.BytesIO(found[0]), allow_pickle=False) as stored:
                curve = [Epoch.model_validate(row) for row in json.loads(str(stored["curve"]))]
                parts = {
                    part: [stored[n] for n in sorted(stored.files) if n.startswith(f"{part}/")]
                    for part in ("weights", "optimizer", "best")
                }
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("checkpoint %s is torn (%s): starting anew", self._uri, error)
            return Progress()
        log.info("checkpoint found after epoch %d", len(curve))
        return Progress(curve=curve, **parts)


def fit(
    model: keras.Model,
    learn: Examples,
    check: Examples,
    config: TrainConfig,
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train until validation loss stops falling; leaves the best weights in the model."""
    optimizer = keras.optimizers.Adam(config.learning_rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    progress = checkpoint.load()
    _restore(model, progress)
    for epoch in progress.curve:
        report(epoch)
    for number in range(len(progress.curve), config.epochs):
        if progress.curve and number - progress.best_epoch > config.patience:
            break
        epoch = _epoch(model, learn, check, config, number)
        progress.curve.append(epoch)
        progress.weights = model.get_weights()
        progress.optimizer = [np.asarray(v) for v in model.optimizer.variables]
        if progress.best_epoch == number:
            progress.best = progress.weights
        checkpoint.save(progress)
        report(epoch)
        log.info("epoch %d: %s", number + 1, epoch)
    model.set_weights(progress.best)
    return progress.curve


def turned(features: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Each image's activations under one of the square's eight symmetries: a cell has no up.

    Convolutions commute with them only nearly, so this stands in for turned photographs without
    paying for those.
    """
    which = rng.integers(0, 8, len(features))
    out = np.empty_like(features)
    for symmetry in range(8):
        chosen = features[which == symmetry]
        mirrored = chosen[:, :, ::-1] if symmetry >= 4 else chosen
        out[which == symmetry] = np.rot90(mirrored, symmetry % 4, axes=(1, 2))
    return out


def _restore(model: keras.Model, progress: Progress) -> None:
    model.optimizer.build(model.trainable_variables)
    if progress.curve:
        model.set_weights(progress.weights)
        for variable, value in zip(model.optimizer.variables, progress.optimizer, strict=True):
            variable.assign(value)


def _epoch(
    model: keras.Model, learn: Examples, check: Examples, config: TrainConfig, number: int
) -> Epoch:
    """One pass in an order that depends on seed and epoch alone, so that resuming repeats it."""
    rng = np.random.default_rng([config.seed, number])
    order = rng.permutation(len(learn.labels))
    model.reset_metrics()
    logs: dict[str, float] = {}
    for start in range(0, len(order), config.batch_size):
        rows = order[start : start + config.batch_size]
        logs = model.train_on_batch(
            turned(learn.features[rows].astype(np.float32), rng),
            learn.labels[rows],
            sample_weight=learn.weights[rows],
            return_dict=True,
        )
    checked = model.evaluate(
        check.features.astype(np.float32),
        check.labels,
        sample_weight=check.weights,
        batch_size=config.batch_size,
        verbose=0,
        return_dict=True,
    )
    return Epoch(
        epoch=number + 1,
        loss=round(float(logs["loss"]), 6),
        accuracy=round(float(logs["accuracy"]), 6),
        val_loss=round(float(checked["loss"]), 6),
        val_accuracy=round(float(checked["accuracy"]), 6),
    )
