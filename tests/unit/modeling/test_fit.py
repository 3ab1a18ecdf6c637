"""Fitting a head: resumable after any epoch, and kept at its best."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.storage import LocalStore
from pipeline.config import TrainConfig
from pipeline.modeling.fit import Checkpoint, Epoch, Examples, Progress, fit
from pipeline.modeling.network import head

CONFIG = TrainConfig(epochs=5, batch_size=16, learning_rate=0.1, patience=10)


class KilledError(Exception):
    """What a test throws in place of a lost worker."""


def examples(count: int, seed: int) -> Examples:
    """Two classes that overlap, so that learning takes a while."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    features = rng.normal(size=(count, 2, 2, 4)) + labels[:, None, None, None] * 0.4
    weights = rng.uniform(0.5, 1.5, count)
    return Examples(features.astype(np.float16), labels, weights.astype(np.float32))


LEARN, CHECK = examples(80, 0), examples(40, 1)


def ignore(epoch: Epoch) -> None:
    """Report nothing."""


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """A checkpoint that was never written."""
    return Checkpoint(LocalStore(), str(tmp_path / "checkpoint.npz"))


def run(
    checkpoint: Checkpoint,
    config: TrainConfig = CONFIG,
    report: Callable[[Epoch], None] = ignore,
    check: Examples = CHECK,
) -> tuple[list[Epoch], list[np.ndarray]]:
    model = head((2, 2, 4), 2, config.seed)
    curve = fit(model, LEARN, check, config, checkpoint, report)
    return curve, model.get_weights()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], list[np.ndarray]]:
    """Curve and weights of a fit that nobody disturbed."""
    return run(Checkpoint(LocalStore(), str(tmp_path_factory.mktemp("fit") / "checkpoint.npz")))


@pytest.mark.parametrize("killed_after", [1, 3, 5])
def test_a_resumed_fit_is_the_uninterrupted_one(
    checkpoint: Checkpoint,
    uninterrupted: tuple[list[Epoch], list[np.ndarray]],
    killed_after: int,
) -> None:
    """Killed after any epoch, the same curve and the same weights, bit for bit."""

    def die(epoch: Epoch) -> None:
        if epoch.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        run(checkpoint, report=die)
    told: list[Epoch] = []
    curve, weights = run(checkpoint, report=told.append)
    assert told == curve == uninterrupted[0]
    for resumed, expected in zip(weights, uninterrupted[1], strict=True):
        np.testing.assert_array_equal(resumed, expected)


def test_a_fit_learns(uninterrupted: tuple[list[Epoch], list[np.ndarray]]) -> None:
    """Loss falls, and epochs count from one."""
    curve, _ = uninterrupted
    assert [epoch.epoch for epoch in curve] == [1, 2, 3, 4, 5]
    assert curve[-1].loss < curve[0].loss
    assert curve[-1].val_accuracy > 0.6


def test_a_fit_stops_when_it_gets_worse_and_keeps_its_best(checkpoint: Checkpoint) -> None:
    """With wrong labels to check against, learning only hurts: the first epoch is kept."""
    wrong = Examples(CHECK.features, 1 - CHECK.labels, CHECK.weights)
    curve, weights = run(
        checkpoint, TrainConfig(epochs=9, learning_rate=0.5, patience=2), check=wrong
    )
    assert len(curve) == 3
    model = head((2, 2, 4), 2, 0)
    model.set_weights(weights)
    model.compile(loss="sparse_categorical_crossentropy")
    loss = model.evaluate(
        wrong.features.astype(np.float32), wrong.labels, sample_weight=wrong.weights, verbose=0
    )
    assert loss == pytest.approx(curve[0].val_loss, abs=1e-4)


def test_a_finished_fit_is_not_continued(checkpoint: Checkpoint) -> None:
    """A retried task whose training was done costs no epoch and still tells its whole curve."""
    done, weights = run(checkpoint)
    told: list[Epoch] = []
    again, same = run(checkpoint, report=told.append)
    assert again == told == done
    np.testing.assert_array_equal(weights[0], same[0])


def test_weights_weigh(checkpoint: Checkpoint) -> None:
    """An image without weight teaches nothing: the labels of half the set do not matter."""
    half = np.arange(80) < 40
    curves: list[list[Epoch]] = []
    for labels in (LEARN.labels, np.where(half, LEARN.labels, 1 - LEARN.labels)):
        model = head((2, 2, 4), 2, 0)
        learn = Examples(LEARN.features, labels, half.astype(np.float32))
        fresh = Checkpoint(LocalStore(), f"{checkpoint._uri}.{len(curves)}")
        curves.append(fit(model, learn, CHECK, TrainConfig(epochs=2), fresh, ignore))
    assert [e.val_loss for e in curves[0]] == pytest.approx([e.val_loss for e in curves[1]])


def test_a_checkpoint_comes_back_whole(checkpoint: Checkpoint) -> None:
    """More than ten arrays keep their order."""
    arrays = [np.full((2,), n, np.float32) for n in range(12)]
    epoch = Epoch(epoch=1, loss=1.5, accuracy=0.5, val_loss=1.25, val_accuracy=0.5)
    checkpoint.save(Progress([epoch], arrays, arrays[::-1], arrays[:1]))
    loaded = checkpoint.load()
    assert loaded.curve == [epoch]
    assert [array[0] for array in loaded.weights] == list(range(12))
    assert [array[0] for array in loaded.optimizer] == list(range(11, -1, -1))
    assert len(loaded.best) == 1


def test_a_torn_checkpoint_starts_anew(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Cut anywhere or with a flipped byte, it is a fresh start, never a crash loop."""
    epoch = Epoch(epoch=1, loss=1.5, accuracy=0.5, val_loss=1.25, val_accuracy=0.5)
    checkpoint.save(Progress([epoch], [np.ones(8, np.float32)], [], []))
    path = tmp_path / "checkpoint.npz"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert checkpoint.load() == Progress()
    middle = whole.index(np.ones(8, np.float32).tobytes())
    path.write_bytes(whole[:middle] + b"\xff" + whole[middle + 1 :])
    assert checkpoint.load() == Progress()


def test_a_head_is_drawn_from_its_seed() -> None:
    """The same seed is the same start in every process."""
    first, again, other = (head((2, 2, 4), 3, seed).get_weights()[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
