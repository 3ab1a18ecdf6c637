"""What a training learns besides weights: temperature, review rule and embedding."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config import FeaturesConfig, RunConfig, TrainConfig
from pipeline.contract.spec import ModelContract
from pipeline.modeling.feature_cache import fetch_activations, write_pack
from pipeline.modeling.fit import Checkpoint, Epoch, Examples
from pipeline.modeling.learn import Learned, averages, learn
from pipeline.run import RunContext

CONFIG = RunConfig(
    contract=ModelContract(name="cells", classes=("ROUND", "LOBED"), embedding_size=4),
    features=FeaturesConfig(boundary="block5_pool"),
    train=TrainConfig(epochs=3, steps=20, batch_size=16, learning_rate=1e-3, averaging=0.8),
)


def ignore(epoch: Epoch) -> None:
    """Report nothing."""


def examples(folder: Path, count: int, seed: int) -> Examples:
    """Two classes apart in some of the deepest channels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    values = rng.normal(size=(count, 1, 1, 512))
    values[..., -20:] += 2 * labels[:, None, None, None]
    store = ArtifactStore(LocalStore(), str(folder / "store"))
    names = [f"{seed}-{number}" for number in range(count)]
    pack = write_pack(
        store, RunContext.now("test", "test"), "key", names, values.astype(np.float16)
    )
    files = fetch_activations(store, [pack], names, folder / str(seed))
    return Examples(files, [(name,) for name in names], labels, np.ones(count, np.float32))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Examples, Examples]:
    """What is learned from and what is held out."""
    folder = tmp_path_factory.mktemp("features")
    return examples(folder, 120, 0), examples(folder, 60, 1)


@pytest.fixture(scope="module")
def learned(parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """One training."""
    path = tmp_path_factory.mktemp("learn") / "checkpoint.npz"
    return learn({}, *parts, CONFIG, Checkpoint(LocalStore(), str(path)), ignore)


def test_held_out_cells_are_named_right(learned: Learned) -> None:
    """The head alone learns what its features tell."""
    assert learned.curve[-1].val_accuracy > 0.9


def test_the_review_rule_accepts_what_the_config_asks(
    learned: Learned, parts: tuple[Examples, Examples]
) -> None:
    """The rule fits the embedding, and both limits leave most of the held-out images alone."""
    assert len(learned.review.centre) == CONFIG.contract.embedding_size
    embedded = learned.projection(averages(parts[1]))
    near = np.array([learned.review.distance(row) for row in embedded])
    assert (near <= learned.review.max_distance).mean() >= 0.95
    assert 0.25 <= learned.temperature <= 10
