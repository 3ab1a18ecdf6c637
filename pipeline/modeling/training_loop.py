"""Training loop of the trained blocks on cached activations, with a checkpoint per epoch."""

import io
import json
import logging
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from pipeline.adapters.storage import ObjectStore
from pipeline.config.hyperparameters import TrainConfig
from pipeline.modeling.feature_cache import ActivationFiles
from pipeline.records import Frozen

log = logging.getLogger(__name__)

Arrays = list[NDArray[np.float32]]
Floats = NDArray[np.float32]


class Epoch(Frozen):
    """One row of the training curve; validation uses the averaged weights."""

    epoch: int
    loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Examples:
    """Labelled images: names of their crops, activations in files, sample weights of mean 1."""

    files: ActivationFiles
    crop_names: Sequence[tuple[str, ...]]
    """Names of each image's crops in `files`; the first is the original crop."""
    labels: NDArray[np.int64]
    """(n,), like `weights` and `groups`."""
    weights: Floats
    groups: NDArray[np.int64]
    """Slide, patient or source cell of each image."""

    def original_batches(self, size: int) -> Iterator[Floats]:
        """Read the activations of all original crops in batches of at most `size` images."""
        for start in range(0, len(self.labels), size):
            yield self.originals(range(start, min(start + size, len(self.labels))))

    def originals(self, rows: Sequence[int] | NDArray[np.int64]) -> Floats:
        """Read the activations of the original crops of the images at `rows` (k, *shape)."""
        return self.files.read([self.crop_names[row][0] for row in rows]).astype(np.float32)


@dataclass(frozen=True)
class FitExamples:
    """Examples to train on, and examples of other cells to validate and calibrate on."""

    training: Examples
    validation: Examples


@dataclass
class Progress:
    """State of a fit, from which it can be resumed."""

    curve: list[Epoch] = field(default_factory=list)
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    """State of the optimizer: moments, and the moving average of the weights."""


class Checkpoint:
    """Stored state of a training run, in one object that is replaced atomically."""

    def __init__(self, objects: ObjectStore, uri: str) -> None:
        self._objects = objects
        self._uri = uri

    def save(self, progress: Progress) -> None:
        """Write the state, replacing the stored one."""
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
        """The stored state; an empty one if there is none or, with a warning, if it is corrupt."""
        stored_object = self._objects.read_tagged(self._uri)
        if stored_object is None:
            return Progress()
        try:
            with np.load(io.BytesIO(stored_object[0]), allow_pickle=False) as stored:
                curve = [Epoch.model_validate(row) for row in json.loads(str(stored["curve"]))]
                parts = {
                    part: [stored[n] for n in sorted(stored.files) if n.startswith(f"{part}/")]
                    for part in ("weights", "optimizer")
                }
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            log.warning("checkpoint %s is corrupt (%s): training starts anew", self._uri, error)
            return Progress()
        log.info("resuming from the checkpoint of epoch %d", len(curve))
        return Progress(curve=curve, **parts)


def fit(
    model: keras.Model,
    examples: FitExamples,
    config: TrainConfig,
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train `model` in place, writing a checkpoint per epoch; ends with the averaged weights.

    Args:
        model: activations to logits.
        examples: to train and to validate on.
        config: epochs, learning rate and regularisation.
        checkpoint: resumed from if it exists, and written after each epoch.
        report: called with each epoch, including those from the checkpoint.
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
        train_loss = _train_epoch(model, examples.training, config, number)
        progress.weights = model.get_weights()
        progress.optimizer = [np.asarray(v) for v in model.optimizer.variables]
        model.optimizer.finalize_variable_values(model.trainable_variables)
        epoch = _validated_epoch(model, examples.validation, number, train_loss)
        model.set_weights(progress.weights)
        progress.curve.append(epoch)
        checkpoint.save(progress)
        report(epoch)
        log.info("epoch %d: %s", number + 1, epoch)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return progress.curve


def logits_of(model: keras.Model, examples: Examples, batch_size: int = 64) -> Floats:
    """Logits of the original crops (n, classes); one batch is in memory at a time."""
    batches = examples.original_batches(batch_size)
    return np.concatenate([model.predict_on_batch(batch) for batch in batches])


def rotated(activations: Floats, rng: np.random.Generator) -> Floats:
    """Activations, each under a random one of the eight rotations and reflections of a square.

    A cell has no orientation. Convolutions commute with these only approximately, but rotating the
    photographs instead would need eight times as many cached activations.
    """
    symmetries = rng.integers(0, 8, len(activations))
    out = np.empty_like(activations)
    for symmetry in range(8):
        chosen = activations[symmetries == symmetry]
        mirrored = chosen[:, :, ::-1] if symmetry >= 4 else chosen
        out[symmetries == symmetry] = np.rot90(mirrored, symmetry % 4, axes=(1, 2))
    return out


def mixup(
    activations: Floats, targets: Floats, strength: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Activations and targets, each blended with another image of the batch.

    mixup: Zhang et al., ICLR 2018.

    Args:
        activations: (n, height, width, channels).
        targets: probabilities of the classes (n, classes).
        strength: both parameters of the beta distribution of the share; 0 changes nothing.
        rng: draws the shares.
    """
    if strength == 0:
        return activations, targets
    share = rng.beta(strength, strength, len(targets)).astype(np.float32)
    share = np.maximum(share, 1 - share)[:, None]
    of_map = share[:, :, None, None]
    return (
        of_map * activations + (1 - of_map) * activations[::-1],
        share * targets + (1 - share) * targets[::-1],
    )


def _optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter, ICLR 2019) with warm-up, cosine decay and weight averaging."""
    steps = config.epochs * config.steps
    warmup = max(1, steps // 15)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warmup), warmup_target=config.learning_rate, warmup_steps=warmup
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=config.weight_decay,
        clipnorm=1.0,
        use_ema=True,
        ema_momentum=config.averaging,
    )


def _restore(model: keras.Model, progress: Progress) -> None:
    """Load a state into model and optimizer, in place; an empty state changes nothing."""
    if progress.curve:
        model.set_weights(progress.weights)
        for variable, value in zip(model.optimizer.variables, progress.optimizer, strict=True):
            variable.assign(value)


def _train_epoch(model: keras.Model, training: Examples, config: TrainConfig, number: int) -> float:
    """Train one epoch and return its mean loss; draws depend on seed and epoch only."""
    rng = np.random.default_rng([config.seed, number])
    total = training.weights.sum(dtype=np.float64)
    probabilities = training.weights.astype(np.float64) / total
    eye = np.eye(model.output_shape[-1], dtype=np.float32)
    losses = []
    for _ in range(config.steps):
        rows = rng.choice(len(probabilities), config.batch_size, p=probabilities)
        by_image = [training.crop_names[row] for row in rows]
        crops = [names[rng.integers(len(names))] for names in by_image]
        activations = rotated(training.files.read(crops).astype(np.float32), rng)
        batch = mixup(activations, eye[training.labels[rows]], config.mixup, rng)
        losses.append(float(model.train_on_batch(*batch)))
        model.reset_metrics()
    return float(np.mean(losses))


def _validated_epoch(model: keras.Model, validation: Examples, number: int, loss: float) -> Epoch:
    """The curve's row of an epoch: training loss, and loss and accuracy on `validation`."""
    log_probabilities = log_softmax(logits_of(model, validation).astype(np.float64), axis=1)
    return curve_row(number + 1, loss, log_probabilities, validation.labels, validation.weights)


def curve_row(
    number: int,
    loss: float,
    log_probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.floating],
) -> Epoch:
    """Row of the training curve: validation loss and accuracy are weighted means over images."""
    of_label = log_probabilities[np.arange(len(labels)), labels]
    hits = log_probabilities.argmax(axis=1) == labels
    return Epoch(
        epoch=number,
        loss=round(loss, 6),
        val_loss=round(float(-np.average(of_label, weights=weights)), 6),
        val_accuracy=round(float(np.average(hits, weights=weights)), 6),
    )
