"""The frozen network in the serving engine is VGG16."""

import numpy as np
import pytest

from benchmarks.random_weights import draw_weights
from pipeline.contract.spec import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.modeling.frozen import FrozenNetwork
from pipeline.modeling.weights import Arrays

CONTRACT = ModelContract(name="frozen", classes=("A", "B"), input_size=32)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """VGG16's convolutions, drawn at random."""
    return draw_weights()


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["torch", "caffe"])
@pytest.mark.parametrize("boundary", ["block4_pool", "block5_pool"])
def test_it_gives_the_activations_of_keras(
    arrays: Arrays, normalization: str, boundary: str
) -> None:
    """At float32 every boundary agrees with Keras to a thousandth of its range."""
    import keras

    from pipeline.modeling.network import backbone

    crops = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    network = backbone(CONTRACT, arrays, normalization)
    reference = keras.Model(network.input, network.get_layer(boundary).output)
    expected = reference.predict(crops, verbose=0)
    given = FrozenNetwork(CONTRACT, arrays, normalization, boundary, "f32")(crops)
    assert given.shape == expected.shape
    np.testing.assert_allclose(given, expected, atol=1e-3 * np.abs(expected).max())


def test_an_unknown_boundary_is_refused(arrays: Arrays) -> None:
    """A boundary that is no pooling layer names those that are."""
    with pytest.raises(InvalidInputError, match="block5_pool"):
        FrozenNetwork(CONTRACT, arrays, "torch", "block9_pool")
