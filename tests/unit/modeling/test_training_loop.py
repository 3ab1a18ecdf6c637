"""The training loop: resumable after any epoch, scored with its averaged weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config.hyperparameters import TrainConfig
from pipeline.modeling.feature_cache import fetch_activations, write_pack
from pipeline.modeling.training_loop import (
    Checkpoint,
    Epoch,
    Examples,
    FitExamples,
    Progress,
    fit,
    logits_of,
    mixup,
)
from pipeline.run_context import RunContext

CONFIG = TrainConfig(epochs=4, steps=20, batch_size=16, learning_rate=0.05, averaging=0.8)
SHAPE = (2, 2, 4)


class KilledError(Exception):
    """Stands for a killed worker."""


def examples(folder: Path, count: int, seed: int) -> Examples:
    """Two overlapping classes, so that training takes several epochs; two crops per image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    features = rng.normal(size=(count, *SHAPE)) + labels[:, None, None, None] * 0.4
    crops = np.concatenate([features, features + 0.1]).astype(np.float16)
    store = ArtifactStore(LocalStore(), str(folder / f"store-{seed}"))
    names = [str(n) for n in range(2 * count)]
    pack = write_pack(store, RunContext.now("test", "test"), "key", names, crops)
    files = fetch_activations(store, [pack], names, folder / f"here-{seed}")
    crop_names = [(str(n), str(count + n)) for n in range(count)]
    weights = rng.uniform(0.5, 1.5, count).astype(np.float32)
    return Examples(files, crop_names, labels, weights / weights.mean(), np.arange(count))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Examples, Examples]:
    """Training and validation images."""
    folder = tmp_path_factory.mktemp("activations")
    return examples(folder, 80, 0), examples(folder, 40, 1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A checkpoint that does not exist yet."""
    return Checkpoint(LocalStore(), str(tmp_path / "checkpoint.npz"))


def ignore(epoch: Epoch) -> None:
    """Report nothing."""


def untrained() -> keras.Model:
    """A linear classifier with zero weights."""
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="zeros")(flat))


def run(
    parts: tuple[Examples, Examples],
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None] = ignore,
) -> tuple[list[Epoch], keras.Model]:
    model = untrained()
    return fit(model, FitExamples(*parts), CONFIG, checkpoint, report), model


@pytest.fixture(scope="module")
def uninterrupted(
    parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Epoch], keras.Model]:
    """Curve and model of an uninterrupted fit."""
    folder = tmp_path_factory.mktemp("fit")
    return run(parts, Checkpoint(LocalStore(), str(folder / "checkpoint.npz")))


@pytest.mark.parametrize("killed_after", [1, 2, 4])
def test_a_resumed_fit_is_the_uninterrupted_one(
    parts: tuple[Examples, Examples],
    checkpoint: Checkpoint,
    uninterrupted: tuple[list[Epoch], keras.Model],
    killed_after: int,
) -> None:
    """Killed after an epoch and resumed: the same curve and weights, bit for bit."""

    def die(epoch: Epoch) -> None:
        if epoch.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        run(parts, checkpoint, report=die)
    reported: list[Epoch] = []
    curve, model = run(parts, checkpoint, report=reported.append)
    assert reported == curve == uninterrupted[0]
    expected = uninterrupted[1].get_weights()
    for resumed, uninterrupted_array in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(resumed, uninterrupted_array)


def test_a_fit_lowers_the_loss(uninterrupted: tuple[list[Epoch], keras.Model]) -> None:
    """Epochs are numbered from one."""
    curve, _ = uninterrupted
    assert [epoch.epoch for epoch in curve] == [1, 2, 3, 4]
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].val_accuracy > 0.6


def test_the_last_row_of_the_curve_is_that_of_the_final_model(
    parts: tuple[Examples, Examples], uninterrupted: tuple[list[Epoch], keras.Model]
) -> None:
    """Validation uses the averaged weights, which are the final ones."""
    curve, model = uninterrupted
    _, validation = parts
    hits = logits_of(model, validation).argmax(axis=1) == validation.labels
    assert curve[-1].val_accuracy == pytest.approx(
        np.average(hits, weights=validation.weights), abs=1e-5
    )


def test_a_finished_fit_is_not_continued(
    parts: tuple[Examples, Examples], checkpoint: Checkpoint
) -> None:
    """A retried task with a finished training runs no epoch and reports the complete curve."""
    done, model = run(parts, checkpoint)
    reported: list[Epoch] = []
    again, same = run(parts, checkpoint, report=reported.append)
    assert again == reported == done
    np.testing.assert_array_equal(model.get_weights()[0], same.get_weights()[0])


def test_an_image_without_weight_is_never_sampled(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    """The labels of the half with weight 0 have no effect."""
    training, validation = parts
    half = (np.arange(80) < 40).astype(np.float32) * 2
    losses = []
    for name, labels in (
        ("right", training.labels),
        ("half", np.where(half > 0, training.labels, 1)),
    ):
        weighted = replace(training, labels=labels, weights=half)
        checkpoint = Checkpoint(LocalStore(), str(tmp_path / f"{name}.npz"))
        examples_of_half = FitExamples(weighted, validation)
        curve = fit(untrained(), examples_of_half, CONFIG, checkpoint, ignore)
        losses.append([epoch.val_loss for epoch in curve])
    assert losses[0] == losses[1]


def test_mixup_blends_activations_and_targets_alike() -> None:
    """Two thirds of an image come with two thirds of its class."""
    numbers = np.arange(4, dtype=np.float32)
    activations = numbers[:, None, None, None]
    blended, shares = mixup(activations, np.eye(4, dtype=np.float32), 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(blended[:, 0, 0, 0], shares @ numbers, rtol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (shares.argmax(axis=1) == np.arange(4)).all()


def test_mixup_of_strength_zero_changes_nothing() -> None:
    """It returns its arguments."""
    activations, targets = np.ones((2, 1, 1, 1), np.float32), np.eye(2, dtype=np.float32)
    assert mixup(activations, targets, 0, np.random.default_rng(0)) == (activations, targets)


def test_a_checkpoint_round_trip(checkpoint: Checkpoint) -> None:
    """More than ten arrays keep their order, which is by name."""
    arrays = [np.full((2,), n, np.float32) for n in range(12)]
    epoch = Epoch(epoch=1, loss=1.5, val_loss=1.25, val_accuracy=0.5)
    checkpoint.save(Progress([epoch], arrays, arrays[::-1]))
    loaded = checkpoint.load()
    assert loaded.curve == [epoch]
    assert [array[0] for array in loaded.weights] == list(range(12))
    assert [array[0] for array in loaded.optimizer] == list(range(11, -1, -1))


def test_a_corrupt_checkpoint_is_ignored(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Truncated anywhere or with a flipped byte, training starts anew instead of crashing."""
    epoch = Epoch(epoch=1, loss=1.5, val_loss=1.25, val_accuracy=0.5)
    checkpoint.save(Progress([epoch], [np.ones(8, np.float32)], []))
    path = tmp_path / "checkpoint.npz"
    intact = path.read_bytes()
    for length in range(0, len(intact), 7):
        path.write_bytes(intact[:length])
        assert checkpoint.load() == Progress()
    middle = intact.index(np.ones(8, np.float32).tobytes())
    path.write_bytes(intact[:middle] + b"\xff" + intact[middle + 1 :])
    assert checkpoint.load() == Progress()
