"""The frozen network in OpenVINO is VGG16, as in Keras."""

import subprocess
import sys
from typing import Literal

import numpy as np
import pytest

from benchmarks.training.random_weights import draw_weights
from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.frozen_network import Arrays, FrozenNetwork

CONTRACT = ModelContract(name="frozen", classes=("A", "B"), input_size=32)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """VGG16's convolutions, drawn at random."""
    return draw_weights()


@pytest.mark.slow
@pytest.mark.parametrize("normalization", ["torch", "caffe"])
@pytest.mark.parametrize("boundary", ["block4_pool", "block5_pool"])
def test_it_gives_the_maps_of_keras(
    arrays: Arrays, normalization: str, boundary: Literal["block4_pool", "block5_pool"]
) -> None:
    """At float32 the maps of every boundary agree with Keras to 0.1 % of their range."""
    import keras

    from pipeline.modeling.network import backbone

    crops = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    network = backbone(CONTRACT, arrays, normalization)
    reference = keras.Model(network.input, network.get_layer(boundary).output)
    expected = reference.predict(crops, verbose=0)
    features = FeaturesConfig(boundary=boundary, keep="maps")
    result = FrozenNetwork(CONTRACT, arrays, normalization, features, "f32")(crops, 1)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 90])
def test_it_gives_the_regions_of_keras(arrays: Arrays, size: int) -> None:
    """Both graphs segment the same nucleus and give the same means, for any side of the crop."""
    import keras

    from pipeline.modeling.keras_region_means import region_means
    from pipeline.modeling.network import backbone, pools_until

    contract = CONTRACT.model_copy(update={"input_size": size})
    crops = np.full((2, size, size, 3), (225, 205, 215), np.uint8)
    crops[0, 8:20, 10:22] = (120, 60, 150)  # the other image has no nucleus
    network = backbone(contract, arrays, "torch")
    levels = [network.get_layer(name).output for name in pools_until("block3_pool")]
    (pixels,) = network.inputs
    reference = keras.Model(pixels, region_means(pixels, levels, size))
    expected = reference.predict(crops, verbose=0)
    result = FrozenNetwork(contract, arrays, "torch", FeaturesConfig(), "f32")(crops)
    assert result.shape == expected.shape == (2, 2 * (64 + 128 + 256))
    np.testing.assert_allclose(result, expected, atol=2e-3 * np.abs(expected).max())


def delete_immediately() -> None:
    """Delete a network right after each of 30 results."""
    weights, crops = draw_weights(), np.zeros((4, 32, 32, 3), np.uint8)
    for _ in range(30):
        FrozenNetwork(CONTRACT, weights, "torch", FeaturesConfig(), "f32")(crops, 1)


@pytest.mark.slow
def test_it_can_be_deleted_right_after_a_result() -> None:
    """A network that is deleted after its result does not deadlock.

    In a process of its own, because a thread that hangs in the engine ignores signals.
    """
    code = f"from {__name__} import delete_immediately as run; run()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
