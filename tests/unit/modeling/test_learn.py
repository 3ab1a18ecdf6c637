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
from pipeline.modeling.learn import Learned, averages, learn_head, learn_maps
from pipeline.run import RunContext

CONFIG = RunConfig(
    contract=ModelContract(name="cells", classes=("ROUND", "LOBED"), embedding_size=4),
    features=FeaturesConfig(boundary="block5_pool", keep="maps"),
    train=TrainConfig(epochs=3, steps=20, batch_size=16, learning_rate=1e-3, averaging=0.8),
)


def ignore(epoch: Epoch) -> None:
    """Report nothing."""


def examples(folder: Path, count: int, seed: int, shape: tuple[int, ...] = (1, 1, 512)) -> Examples:
    """Two classes apart in some of the deepest channels; four images of each cell."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) // 4 % 2
    values = rng.normal(size=(count, *shape))
    values[..., -20:] += 2 * labels.reshape(-1, *[1] * len(shape))
    store = ArtifactStore(LocalStore(), str(folder / "store"))
    names = [f"{seed}-{number}" for number in range(count)]
    pack = write_pack(
        store, RunContext.now("test", "test"), "key", names, values.astype(np.float16)
    )
    files = fetch_activations(store, [pack], names, folder / str(seed))
    weights = np.ones(count, np.float32)
    return Examples(files, [(name,) for name in names], labels, weights, np.arange(count) // 4)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Examples, Examples]:
    """What is learned from and what is held out."""
    folder = tmp_path_factory.mktemp("features")
    return examples(folder, 120, 0), examples(folder, 60, 1)


@pytest.fixture(scope="module")
def learned(parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """One training."""
    path = tmp_path_factory.mktemp("learn") / "checkpoint.npz"
    return learn_maps({}, *parts, CONFIG, Checkpoint(LocalStore(), str(path)), ignore)


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


def test_a_head_on_regions_learns_from_every_cell_and_is_calibrated_on_each(
    tmp_path: Path,
) -> None:
    """One row of a curve says what cross-fitting found; temperature and rule follow from it."""
    config = CONFIG.model_copy(update={"features": FeaturesConfig()})
    rows: list[Epoch] = []
    found = learn_head(examples(tmp_path, 160, 2, (64,)), config, rows.append)
    assert rows == found.curve
    assert 0.9 < rows[0].val_accuracy <= 1
    assert rows[0].val_loss > rows[0].loss
    fresh = examples(tmp_path, 80, 5, (64,))
    named = found.trained.predict(averages(fresh), verbose=0).argmax(axis=1)
    assert (named == fresh.labels).mean() > 0.9
    embedded = found.projection(averages(fresh))
    near = [found.review.distance(row) <= found.review.max_distance for row in embedded]
    assert np.mean(near) > 0.85
