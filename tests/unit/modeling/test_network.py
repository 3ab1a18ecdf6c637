"""The network in Keras: normalisation in the graph, and the complete model."""

from typing import Literal

import numpy as np
import pytest
from scipy.special import softmax

from benchmarks.training.random_weights import draw_weights
from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.frozen_network import LAYERS, Arrays, FrozenNetwork
from pipeline.modeling.embedding import Projection
from pipeline.modeling.linear_head import fit_linear_head
from pipeline.modeling.network import assemble, backbone, classifier, layers_after, pooled_blocks

RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Convolutions that pass the first input channel and drop the others."""
    made: Arrays = {}
    depth = 3
    for layer, width in zip(LAYERS, (64, 64, 128, 128, *[256] * 3, *[512] * 6), strict=True):
        kernel = np.zeros((3, 3, depth, width), np.float32)
        kernel[1, 1, 0, 0] = 1
        made[f"{layer}/kernel"] = kernel
        made[f"{layer}/bias"] = np.zeros(width, np.float32)
        depth = width
    return made


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [("torch", (250 / 255 - 0.485) / 0.229), ("caffe", 200 - 103.939)],
)
def test_pixels_are_normalised_as_the_weights_expect(
    arrays: Arrays, normalization: str, expected: float
) -> None:
    """Inside the graph: red over 255 standardised, or blue minus its mean."""
    contract = ModelContract(name="cells", classes=("A", "B"), input_size=32)
    pixels = np.full((1, 32, 32, 3), (250, 128, 200), np.uint8)
    features = backbone(contract, arrays, normalization).predict(pixels, verbose=0)
    assert features.shape == (1, 1, 1, 512)
    assert features[0, 0, 0, 0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("boundary", "convolutions", "width"),
    [("block5_pool", 0, 512 * 2), ("block4_pool", 3, 512 * 3), ("block3_pool", 6, 256 + 512 * 3)],
)
def test_the_blocks_behind_the_boundary_are_trained(
    arrays: Arrays, boundary: str, convolutions: int, width: int
) -> None:
    """They start with ImageNet's weights; the vector has the means of every level."""
    depth = arrays[f"{boundary.partition('_')[0]}_conv3/bias"].shape[0]
    blocks = pooled_blocks(boundary, (4, 4, depth), arrays)
    assert len(layers_after(boundary)) == convolutions
    assert len(blocks.trainable_weights) == 2 * convolutions
    assert blocks.output_shape == (None, width)
    for layer in layers_after(boundary):
        kernel = blocks.get_layer(layer).get_weights()[0]
        np.testing.assert_array_equal(kernel, arrays[f"{layer}/kernel"])


def test_a_head_starts_at_zero_with_a_standardised_input(arrays: Arrays) -> None:
    """Logits are 0 before the first step, whatever the range of the activations."""
    blocks = pooled_blocks("block5_pool", (1, 1, 512), arrays)
    sample = RNG.normal(5, 3, (64, 1, 1, 512)).astype(np.float32)
    model = classifier(blocks, sample, 3, dropout=0.5)
    assert (model.predict(sample, verbose=0) == 0).all()
    standardised = model.get_layer("level")(blocks(sample)).numpy()
    np.testing.assert_allclose(standardised.mean(), 0, atol=1e-3)
    np.testing.assert_allclose(standardised.std(), 1, atol=0.05)


@pytest.mark.parametrize("boundary", ["block4_pool", "block5_pool"])
def test_the_complete_model_gives_the_outputs_of_its_parts(
    boundary: Literal["block4_pool", "block5_pool"],
) -> None:
    """Pixels to scaled probabilities and an embedding: as from cached maps."""
    contract = ModelContract(name="cells", classes=("A", "B"), input_size=32)
    arrays = draw_weights()
    pixels = RNG.integers(0, 255, (4, 32, 32, 3), np.uint8)
    features = FeaturesConfig(boundary=boundary, keep="maps")
    frozen = FrozenNetwork(contract, arrays, "torch", features, "f32")
    activations = frozen(pixels).astype(np.float32)
    blocks = pooled_blocks(boundary, activations.shape[1:], arrays)
    trained = classifier(blocks, activations, 2, dropout=0.0)
    head = RNG.normal(size=(blocks.output_shape[1], 2)) / 50
    trained.get_layer("logits").set_weights([head, np.zeros(2)])
    vectors = activations.mean(axis=(1, 2))
    projection = Projection(vectors, 3)
    full = backbone(contract, arrays, "torch")
    outputs = assemble(full, features, trained, 2.0, projection).predict(pixels, verbose=0)
    expected = softmax(trained.predict(activations, verbose=0) / 2.0, axis=1)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=0.01)
    np.testing.assert_allclose(outputs["embedding"], projection(vectors), atol=0.02)


def test_the_complete_model_of_a_head_gives_the_outputs_of_its_parts() -> None:
    """Its graph segments the regions, and has no blocks behind the boundary."""
    contract = ModelContract(name="cells", classes=("A", "B", "C"), input_size=32)
    arrays = draw_weights()
    pixels = RNG.integers(0, 255, (12, 32, 32, 3), np.uint8)
    features = FeaturesConfig()
    means = FrozenNetwork(contract, arrays, "torch", features, "f32")(pixels).astype(np.float32)
    head = fit_linear_head(means.astype(np.float64), np.arange(12) % 3, np.ones(12), 3, penalty=0.5)
    projection = Projection(means, 3)
    full = backbone(contract, arrays, "torch")
    model = assemble(full, features, head.to_keras(), 2.0, projection)
    outputs = model.predict(pixels, verbose=0)
    expected = softmax(head(means.astype(np.float64)) / 2.0, axis=1)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=0.01)
    np.testing.assert_allclose(outputs["embedding"], projection(means), atol=0.03)
    assert not any(layer.name.startswith("block4") for layer in model.layers)
