"""Fitting the trained part: resumable after any epoch, and judged by its averaged weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config import TrainConfig
from pipeline.modeling.feature_cache import fetch_activations, write_pack
from pipeline.modeling.fit import Checkpoint, Epoch, Examples, Progress, fit, logits_of, mixed
from pipeline.run import RunContext

CONFIG = TrainConfig(epochs=4, steps=20, batch_size=16, learning_rate=0.05, averaging=0.8)
SHAPE = (2, 2, 4)


class KilledError(Exception):
    """What a test throws in place of a lost worker."""


def examples(folder: Path, count: int, seed: int) -> Examples:
    """Two classes that overlap, so that learning takes a while; two crops of each image."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    features = rng.normal(size=(count, *SHAPE)) + labels[:, None, None, None] * 0.4
    crops = np.concatenate([features, features + 0.1]).astype(np.float16)
    store = ArtifactStore(LocalStore(), str(folder / f"store-{seed}"))
    names = [str(n) for n in range(2 * count)]
    pack = write_pack(store, RunContext.now("test", "test"), "key", names, crops)
    files = fetch_activations(store, [pack], names, folder / f"here-{seed}")
    views = [(str(n), str(count + n)) for n in range(count)]
    weights = rng.uniform(0.5, 1.5, count).astype(np.float32)
    return Examples(files, views, labels, weights / weights.mean(), np.arange(count))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Examples, Examples]:
    """What is learned from and what is held out."""
    folder = tmp_path_factory.mktemp("activations")
    return examples(folder, 80, 0), examples(folder, 40, 1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A checkpoint that was never written."""
    return Checkpoint(LocalStore(), str(tmp_path / "checkpoint.npz"))


def ignore(epoch: Epoch) -> None:
    """Report nothing."""


def untrained() -> keras.Model:
    """A linear classifier that knows nothing."""
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="zeros")(flat))


def run(
    parts: tuple[Examples, Examples],
    checkpoint: Checkpoint,
    report: Callable[[Epoch], None] = ignore,
) -> tuple[list[Epoch], keras.Model]:
    model = untrained()
    return fit(model, *parts, CONFIG, checkpoint, report), model


@pytest.fixture(scope="module")
def uninterrupted(
    parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Epoch], keras.Model]:
    """Curve and model of a fit that nobody disturbed."""
    folder = tmp_path_factory.mktemp("fit")
    return run(parts, Checkpoint(LocalStore(), str(folder / "checkpoint.npz")))


@pytest.mark.parametrize("killed_after", [1, 2, 4])
def test_a_resumed_fit_is_the_uninterrupted_one(
    parts: tuple[Examples, Examples],
    checkpoint: Checkpoint,
    uninterrupted: tuple[list[Epoch], keras.Model],
    killed_after: int,
) -> None:
    """Killed after any epoch, the same curve and the same weights, bit for bit."""

    def die(epoch: Epoch) -> None:
        if epoch.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        run(parts, checkpoint, report=die)
    told: list[Epoch] = []
    curve, model = run(parts, checkpoint, report=told.append)
    assert told == curve == uninterrupted[0]
    expected = uninterrupted[1].get_weights()
    for resumed, whole in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(resumed, whole)


def test_a_fit_learns(uninterrupted: tuple[list[Epoch], keras.Model]) -> None:
    """Loss falls, and epochs count from one."""
    curve, _ = uninterrupted
    assert [epoch.epoch for epoch in curve] == [1, 2, 3, 4]
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].val_accuracy > 0.6


def test_the_last_row_of_the_curve_is_the_model_that_is_kept(
    parts: tuple[Examples, Examples], uninterrupted: tuple[list[Epoch], keras.Model]
) -> None:
    """Validation is scored with the averaged weights, and those are the ones left in the model."""
    curve, model = uninterrupted
    _, check = parts
    hits = logits_of(model, check).argmax(axis=1) == check.labels
    assert curve[-1].val_accuracy == pytest.approx(
        np.average(hits, weights=check.weights), abs=1e-5
    )


def test_a_finished_fit_is_not_continued(
    parts: tuple[Examples, Examples], checkpoint: Checkpoint
) -> None:
    """A retried task whose training was done costs no epoch and still tells its whole curve."""
    done, model = run(parts, checkpoint)
    told: list[Epoch] = []
    again, same = run(parts, checkpoint, report=told.append)
    assert again == told == done
    np.testing.assert_array_equal(model.get_weights()[0], same.get_weights()[0])


def test_an_image_without_weight_is_never_drawn(
    parts: tuple[Examples, Examples], tmp_path: Path
) -> None:
    """The labels of half the set do not matter when that half weighs nothing."""
    learn, check = parts
    half = (np.arange(80) < 40).astype(np.float32) * 2
    losses = []
    for name, labels in (("right", learn.labels), ("half", np.where(half > 0, learn.labels, 1))):
        weighed = replace(learn, labels=labels, weights=half)
        checkpoint = Checkpoint(LocalStore(), str(tmp_path / f"{name}.npz"))
        losses.append(
            [e.val_loss for e in fit(untrained(), weighed, check, CONFIG, checkpoint, ignore)]
        )
    assert losses[0] == losses[1]


def test_mixing_keeps_activations_and_targets_together() -> None:
    """An image that is two thirds of one cell is two thirds of that cell's class."""
    numbers = np.arange(4, dtype=np.float32)
    given = numbers[:, None, None, None]
    blended, shares = mixed(given, np.eye(4, dtype=np.float32), 0.5, np.random.default_rng(0))
    np.testing.assert_allclose(blended[:, 0, 0, 0], shares @ numbers, rtol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    assert (shares.argmax(axis=1) == np.arange(4)).all()


def test_no_mixing_changes_nothing() -> None:
    """Strength 0 gives back what came in."""
    given, targets = np.ones((2, 1, 1, 1), np.float32), np.eye(2, dtype=np.float32)
    assert mixed(given, targets, 0, np.random.default_rng(0)) == (given, targets)


def test_a_checkpoint_comes_back_whole(checkpoint: Checkpoint) -> None:
    """More than ten arrays keep their order."""
    arrays = [np.full((2,), n, np.float32) for n in range(12)]
    epoch = Epoch(epoch=1, loss=1.5, val_loss=1.25, val_accuracy=0.5)
    checkpoint.save(Progress([epoch], arrays, arrays[::-1]))
    loaded = checkpoint.load()
    assert loaded.curve == [epoch]
    assert [array[0] for array in loaded.weights] == list(range(12))
    assert [array[0] for array in loaded.optimizer] == list(range(11, -1, -1))


def test_a_torn_checkpoint_starts_anew(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Cut anywhere or with a flipped byte, it is a fresh start, never a crash loop."""
    epoch = Epoch(epoch=1, loss=1.5, val_loss=1.25, val_accuracy=0.5)
    checkpoint.save(Progress([epoch], [np.ones(8, np.float32)], []))
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert checkpoint.load() == Progress()
    middle = whole.index(np.ones(8, np.float32).tobytes())
    path.write_bytes(whole[:middle] + b"\xff" + whole[middle + 1 :])
    assert checkpoint.load() == Progress()
