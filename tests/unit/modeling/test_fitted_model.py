"""Fitted models: weights, temperature, review rule and embedding."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config.hyperparameters import FeaturesConfig, TrainConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.modeling.feature_cache import fetch_activations, write_pack
from pipeline.modeling.fitted_model import FittedModel, embedding_inputs, fit_blocks, fit_head
from pipeline.modeling.training_loop import Checkpoint, Epoch, Examples, FitExamples
from pipeline.run_context import RunContext

CONFIG = RunConfig(
    contract=ModelContract(name="cells", classes=("ROUND", "LOBED"), embedding_size=4),
    features=FeaturesConfig(boundary="block5_pool", keep="maps"),
    train=TrainConfig(epochs=3, steps=20, batch_size=16, learning_rate=1e-3, averaging=0.8),
)


def ignore(epoch: Epoch) -> None:
    """Report nothing."""


def examples(folder: Path, count: int, seed: int, shape: tuple[int, ...] = (1, 1, 512)) -> Examples:
    """Two classes that differ in the last channels; four images per cell."""
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
    """Training and held-out images."""
    folder = tmp_path_factory.mktemp("features")
    return examples(folder, 120, 0), examples(folder, 60, 1)


@pytest.fixture(scope="module")
def fitted(
    parts: tuple[Examples, Examples], tmp_path_factory: pytest.TempPathFactory
) -> FittedModel:
    """Blocks fitted to maps."""
    path = tmp_path_factory.mktemp("fit") / "checkpoint.npz"
    return fit_blocks({}, FitExamples(*parts), CONFIG, Checkpoint(LocalStore(), str(path)), ignore)


def test_held_out_cells_are_classified_correctly(fitted: FittedModel) -> None:
    """The head alone separates the classes."""
    assert fitted.curve[-1].val_accuracy > 0.9


def test_the_review_rule_accepts_the_configured_coverage(
    fitted: FittedModel, parts: tuple[Examples, Examples]
) -> None:
    """The rule has the size of the embedding, and its limits accept most held-out images."""
    assert len(fitted.review.centre) == CONFIG.contract.embedding_size
    embedded = fitted.projection(embedding_inputs(parts[1]))
    near = np.array([fitted.review.distance(row) for row in embedded])
    assert (near <= fitted.review.max_distance).mean() >= 0.95
    assert 0.25 <= fitted.temperature <= 10


def test_a_head_is_trained_and_calibrated_on_all_cells(
    tmp_path: Path,
) -> None:
    """The curve has one row, with the loss and accuracy of cross-fitting."""
    config = CONFIG.model_copy(update={"features": FeaturesConfig()})
    rows: list[Epoch] = []
    model = fit_head(examples(tmp_path, 160, 2, (64,)), config, rows.append)
    assert rows == model.curve
    assert 0.9 < rows[0].val_accuracy <= 1
    assert rows[0].val_loss > rows[0].loss
    fresh = examples(tmp_path, 80, 5, (64,))
    predicted = model.trained.predict(embedding_inputs(fresh), verbose=0).argmax(axis=1)
    assert (predicted == fresh.labels).mean() > 0.9
    embedded = model.projection(embedding_inputs(fresh))
    near = [model.review.distance(row) <= model.review.max_distance for row in embedded]
    assert np.mean(near) > 0.85
