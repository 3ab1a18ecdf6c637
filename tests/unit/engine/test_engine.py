"""The engine answers one crop at a time, and the same to one caller as to many."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.engine.engine import Engine


@pytest.fixture
def engine(stage: Any, tmp_path: Path) -> Engine:
    """That of a bundle that reads mean colours."""
    stage.publish(tmp_path / "bundle")
    return Engine(tmp_path / "bundle", "f32")


@pytest.fixture
def crops(stage: Any) -> NDArray[np.uint8]:
    """Forty crops of one colour each, all different."""
    side = stage.contract.input_size
    colours = np.random.default_rng(2).integers(0, 256, (40, 1, 1, 3))
    return np.tile(colours, (1, side, side, 1)).astype(np.uint8)


def test_each_of_many_crops_has_its_own_answer(
    engine: Engine, crops: NDArray[np.uint8], stage: Any
) -> None:
    """Several at once are answered as each by itself, in their order."""
    probabilities, embeddings = engine.predict(crops)
    assert probabilities.shape == (40, len(stage.contract.classes))
    assert embeddings.shape == (40, stage.contract.embedding_size)
    assert len(np.unique(embeddings, axis=0)) == 40
    for place in (0, 17, 39):
        alone = engine.predict(crops[place : place + 1])
        np.testing.assert_array_equal(alone[0][0], probabilities[place])
        np.testing.assert_array_equal(alone[1][0], embeddings[place])


def test_a_crowd_is_answered_as_one_caller(engine: Engine, crops: NDArray[np.uint8]) -> None:
    """Eight threads that share requests get their own answers, to six digits the same."""
    expected = engine.predict(crops)

    def ask(place: int) -> NDArray[np.float32]:
        embeddings = engine.predict(crops[place : place + 1], crowd=True)[1]
        return np.asarray(embeddings[0])

    with ThreadPoolExecutor(8) as pool:
        told = np.array(list(pool.map(ask, list(range(40)) * 5)))
    np.testing.assert_allclose(told, np.tile(expected[1], (5, 1)), rtol=1e-6, atol=1e-6)
