"""The network in Keras: normalisation in the graph, and the projection that drift looks at."""

import numpy as np
import pytest

from pipeline.contract.spec import ModelContract
from pipeline.modeling.network import Projection, assemble, backbone, embedding_head, head
from pipeline.modeling.weights import LAYERS, Arrays

RNG = np.random.default_rng(4)
POOLED = (RNG.normal(size=(60, 10)) @ RNG.normal(size=(10, 10)) + 5).astype(np.float32)


def projected(pooled: np.ndarray, projection: Projection) -> np.ndarray:
    return np.asarray(pooled @ projection.kernel + projection.bias)


def test_every_component_has_unit_variance() -> None:
    """No component outweighs another in a distance; all are centred and uncorrelated."""
    components = projected(POOLED, Projection(POOLED, 6))
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(components.T), np.eye(6), atol=1e-3)


def test_the_sign_of_a_component_is_stable() -> None:
    """The same cells in another order give the same axes: a retraining is no drift."""
    straight, shuffled = Projection(POOLED, 6), Projection(POOLED[RNG.permutation(60)], 6)
    np.testing.assert_allclose(shuffled.kernel, straight.kernel, atol=1e-3)
    loud = straight.kernel[np.abs(straight.kernel).argmax(axis=0), np.arange(6)]
    assert (loud > 0).all()


@pytest.mark.parametrize("rows", [3, 60])
def test_components_that_do_not_exist_are_zero(rows: int) -> None:
    """Fewer images or channels than components: the rest carries nothing, and no noise."""
    kept = min(rows - 1, 10)
    kernel = Projection(POOLED[:rows], 16).kernel
    assert kernel.shape == (10, 16)
    assert (np.abs(kernel[:, :kept]).sum(axis=0) > 0).all()
    assert (kernel[:, kept:] == 0).all()


def test_identical_images_have_no_component() -> None:
    """Nothing varies, so nothing is scaled up to unit variance."""
    projection = Projection(np.ones((5, 10), np.float32), 4)
    assert np.isfinite(projection.kernel).all()
    assert (projected(np.ones((2, 10)), projection) == 0).all()


def test_the_embedding_is_the_projected_average() -> None:
    """In the graph as on paper."""
    projection = Projection(POOLED, 4)
    features = RNG.normal(size=(3, 2, 2, 10)).astype(np.float32)
    embedded = embedding_head((2, 2, 10), projection).predict(features, verbose=0)
    np.testing.assert_allclose(
        embedded, projected(features.mean(axis=(1, 2)), projection), atol=1e-3
    )


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Convolutions that pass the first input channel on and drop the others."""
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
    """Red over 255 standardised, or blue minus its mean, and that inside the graph."""
    contract = ModelContract(name="cells", classes=("A", "B"), input_size=32)
    pixels = np.full((1, 32, 32, 3), (250, 128, 200), np.uint8)
    features = backbone(contract, arrays, normalization).predict(pixels, verbose=0)
    assert features.shape == (1, 1, 1, 512)
    assert features[0, 0, 0, 0] == pytest.approx(expected, rel=1e-4)


def test_the_whole_model_answers_pixels(arrays: Arrays) -> None:
    """Bytes in, probabilities that sum to one and an embedding out; the backbone stays frozen."""
    contract = ModelContract(name="cells", classes=("A", "B"), input_size=32)
    full = backbone(contract, arrays, "torch")
    projection = Projection(RNG.normal(size=(5, 512)).astype(np.float32), 3)
    model = assemble(full, head((1, 1, 512), 2, 0), projection)
    answer = model.predict(RNG.integers(0, 255, (4, 32, 32, 3), np.uint8), verbose=0)
    assert answer["embedding"].shape == (4, 3)
    np.testing.assert_allclose(answer["probabilities"].sum(axis=1), 1, rtol=1e-5)
    assert len(model.trainable_weights) == 2
