"""The engine predicts crop by crop, with the same results for one caller and for many."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.engine.serving_engine import Engine


@pytest.fixture
def engine(stage: Any, tmp_path: Path) -> Engine:
    """The engine of a bundle whose model outputs mean colours."""
    stage.publish(tmp_path / "bundle")
    return Engine(tmp_path / "bundle", "f32")


@pytest.fixture
def crops(stage: Any) -> NDArray[np.uint8]:
    """Forty crops of one colour each, all different."""
    side = stage.contract.input_size
    colours = np.random.default_rng(2).integers(0, 256, (40, 1, 1, 3))
    return np.tile(colours, (1, side, side, 1)).astype(np.uint8)


def test_each_of_many_crops_has_its_own_prediction(
    engine: Engine, crops: NDArray[np.uint8], stage: Any
) -> None:
    """A call with many crops gives what calls with one give, in their order."""
    probabilities, embeddings = engine.predict(crops)
    assert probabilities.shape == (40, len(stage.contract.classes))
    assert embeddings.shape == (40, stage.contract.embedding_size)
    assert len(np.unique(embeddings, axis=0)) == 40
    for index in (0, 17, 39):
        single = engine.predict(crops[index : index + 1])
        np.testing.assert_array_equal(single[0][0], probabilities[index])
        np.testing.assert_array_equal(single[1][0], embeddings[index])


def test_concurrent_callers_get_the_results_of_one(
    engine: Engine, crops: NDArray[np.uint8]
) -> None:
    """Eight threads that share infer requests get their own results, equal to six digits."""
    expected = engine.predict(crops)

    def predict(index: int) -> NDArray[np.float32]:
        embeddings = engine.predict(crops[index : index + 1], concurrent=True)[1]
        return np.asarray(embeddings[0])

    with ThreadPoolExecutor(8) as pool:
        results = np.array(list(pool.map(predict, list(range(40)) * 5)))
    np.testing.assert_allclose(results, np.tile(expected[1], (5, 1)), rtol=1e-6, atol=1e-6)
