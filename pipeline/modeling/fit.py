"""Fitting the trained part on cached activations, with a checkpoint after every epoch."""

import io
import json
import logging
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.storage import ObjectStore
from pipeline.config import TrainConfig
from pipeline.modeling.feature_cache import ActivationFiles
from pipeline.records import Frozen

log = logging.getLogger(__name__)

Arrays = list[NDArray[np.float32]]
Floats = NDArray[np.float32]


class Epoch(Frozen):
    """One row of the training curve; validation is scored with the averaged weights."""

    epoch: int
    loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Examples:
    """Images whose activations lie in files; weights have mean 1."""

    files: ActivationFiles
    views: Sequence[tuple[str, ...]]
    """Of each image, the names of its crops in `files`; the first is the plain one."""
    labels: NDArray[np.int64]
    """(n,), like `weights` and `groups`."""
    weights: Floats
    groups: NDArray[np.int64]
    """Slide, patient or source cell of each image."""

    def plain(self, rows: Sequence[int] | NDArray[np.int64]) -> Floats:
        """What is kept of the plain crops of some images (k, *shape)."""
        return self.files.read([self.views[row][0] for row in rows]).astype(np.float32)


@dataclass
class Progress:
    """Where a fit stands: everything that a resumed one needs."""

    curve: list[Epoch] = field(default_factory=list)
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    """Moments and the running average of the weights."""


class Checkpoint:
    """One object, written whole by one put: there is no moment when half of it is visible."""

    def __init__(self, objects: ObjectStore, uri: str) -> None:
        self._objects = objects
        self._uri = uri

    def save(self, progress: Progress) -> None:
        """Replace the checkpoint."""
        out = io.BytesIO()
        arrays = {
            f"{part}/{index:03d}": value
            for part in ("weights", "optimizer")
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
                    for part in ("weights", "optimizer")
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
    """Train to the end of the schedule; leaves the averaged weights in the model.

    Args:
        model: activations to logits.
        learn: drawn from in proportion to their weights.
        check: scored after each epoch.
        config: epochs, rate and what regularises.
        checkpoint: where to go on from, and where to keep the way.
        report: called after every epoch, also those that the checkpoint remembers.
    """
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )
    model.compile(_optimizer(config), loss)
    model.optimizer.build(model.trainable_variables)
    progress = checkpoint.load()
    _restore(model, progress)
    for epoch in progress.curve:
        report(epoch)
    for number in range(len(progress.curve), config.epochs):
        trained = _epoch(model, learn, config, number)
        progress.weights = model.get_weights()
        progress.optimizer = [np.asarray(v) for v in model.optimizer.variables]
        model.optimizer.finalize_variable_values(model.trainable_variables)
        epoch = _checked(model, check, number, trained)
        model.set_weights(progress.weights)
        progress.curve.append(epoch)
        checkpoint.save(progress)
        report(epoch)
        log.info("epoch %d: %s", number + 1, epoch)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return progress.curve


def logits_of(model: keras.Model, examples: Examples, batch_size: int = 64) -> Floats:
    """The model's logits for the plain crops (n, classes); one batch is in memory at a time."""
    rows = range(len(examples.labels))
    parts = [
        model.predict_on_batch(examples.plain(rows[start : start + batch_size]))
        for start in range(0, len(rows), batch_size)
    ]
    return np.concatenate(parts)


def turned(activations: Floats, rng: np.random.Generator) -> Floats:
    """Each image's activations under one of the square's eight symmetries: a cell has no up.

    Convolutions commute with them only nearly, so this stands in for turned photographs without
    paying for those.
    """
    which = rng.integers(0, 8, len(activations))
    out = np.empty_like(activations)
    for symmetry in range(8):
        chosen = activations[which == symmetry]
        mirrored = chosen[:, :, ::-1] if symmetry >= 4 else chosen
        out[which == symmetry] = np.rot90(mirrored, symmetry % 4, axes=(1, 2))
    return out


def mixed(
    activations: Floats, targets: Floats, strength: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Blend each image with another of the batch (mixup: Zhang et al., ICLR 2018).

    Args:
        activations: (n, height, width, channels).
        targets: shares of the classes (n, classes).
        strength: of the beta distribution that shares are drawn from; 0 blends nothing.
        rng: draws.
    """
    if strength == 0:
        return activations, targets
    share = rng.beta(strength, strength, len(targets)).astype(np.float32)
    share = np.maximum(share, 1 - share)[:, None]
    wide = share[:, :, None, None]
    return (
        wide * activations + (1 - wide) * activations[::-1],
        share * targets + (1 - share) * targets[::-1],
    )


def _optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter, ICLR 2019), warmed up and then along a cosine to nothing."""
    steps = config.epochs * config.steps
    warm = max(1, steps // 15)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm), warmup_target=config.learning_rate, warmup_steps=warm
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        clipnorm=1.0,
        use_ema=True,
        ema_momentum=config.averaging,
    )


def _restore(model: keras.Model, progress: Progress) -> None:
    if progress.curve:
        model.set_weights(progress.weights)
        for variable, value in zip(model.optimizer.variables, progress.optimizer, strict=True):
            variable.assign(value)


def _epoch(model: keras.Model, learn: Examples, config: TrainConfig, number: int) -> float:
    """Draws that depend on seed and epoch alone, so that resuming repeats them; mean loss."""
    rng = np.random.default_rng([config.seed, number])
    chances = learn.weights.astype(np.float64) / learn.weights.sum(dtype=np.float64)
    eye = np.eye(model.output_shape[-1], dtype=np.float32)
    losses = []
    for _ in range(config.steps):
        rows = rng.choice(len(chances), config.batch_size, p=chances)
        crops = [learn.views[row][rng.integers(len(learn.views[row]))] for row in rows]
        activations = turned(learn.files.read(crops).astype(np.float32), rng)
        batch = mixed(activations, eye[learn.labels[rows]], config.mixup, rng)
        losses.append(float(model.train_on_batch(*batch)))
        model.reset_metrics()
    return float(np.mean(losses))


def _checked(model: keras.Model, check: Examples, number: int, loss: float) -> Epoch:
    logits = logits_of(model, check).astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_shares = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    right = log_shares[np.arange(len(logits)), check.labels]
    hits = logits.argmax(axis=1) == check.labels
    return Epoch(
        epoch=number + 1,
        loss=round(loss, 6),
        val_loss=round(float(-np.average(right, weights=check.weights)), 6),
        val_accuracy=round(float(np.average(hits, weights=check.weights)), 6),
    )
