"""What a training costs with activations cached at the freeze boundary, over training without.

The baseline is the loop of the project that this one replaces: a plain Keras `fit` that runs the
whole network for every image of every epoch, at 224 px. Weights and pixels are drawn at random:
speed does not depend on them, and nothing is downloaded.
"""

import tempfile
from functools import partial
from pathlib import Path

import keras
import numpy as np

from benchmarks.measure import Row, ratio
from benchmarks.training.random_weights import draw_weights
from pipeline.config import FeaturesConfig, TrainConfig
from pipeline.contract.spec import ModelContract
from pipeline.engine.frozen import FrozenNetwork
from pipeline.modeling.head import solve
from pipeline.modeling.network import backbone, classifier, pooled

BATCH = 32
EPOCHS = 10
CLASSES = ("A", "B", "C", "D")
RNG = np.random.default_rng(1)


def rows() -> list[Row]:
    """A head and block5 with it, at the replaced project's 224 px and at the 128 px of ours."""
    arrays = draw_weights()
    measured = []
    for trains, cached in (("head", _head(arrays)), ("block5 and head", _block5(arrays))):
        for side in (224, 128):
            plain = _plain(arrays, side, trains)
            measured.append(
                ratio(
                    f"ten epochs of {trains}, extraction included",
                    cached,
                    plain,
                    f"Keras, whole network each epoch, {side} px",
                    rounds=3,
                )
            )
    return measured


def _head(arrays: dict[str, np.ndarray]) -> partial[None]:
    """Regions once, then the head, which is solved and not trained by epochs."""
    contract = ModelContract(name="bench", classes=CLASSES)
    frozen = FrozenNetwork(contract, arrays, "torch", FeaturesConfig())
    return partial(_extract_and_solve, frozen, _crops(contract.input_size))


def _extract_and_solve(frozen: FrozenNetwork, crops: np.ndarray) -> None:
    regions = frozen(crops).astype(np.float64)
    solve(regions, _labels(), np.ones(BATCH), len(CLASSES), TrainConfig().penalty)


def _block5(arrays: dict[str, np.ndarray]) -> partial[None]:
    """Maps once, then ten passes over them."""
    contract = ModelContract(name="bench", classes=CLASSES)
    features = FeaturesConfig(boundary="block4_pool", keep="maps")
    frozen = FrozenNetwork(contract, arrays, "torch", features)
    crops = _crops(contract.input_size)
    activations = frozen(crops).astype(np.float32)
    blocks = pooled(features.boundary, activations.shape[1:], arrays)
    model = classifier(blocks, activations, len(CLASSES), dropout=0.2)
    _compile(model)
    return partial(_extract_and_train, frozen, crops, model)


def _extract_and_train(frozen: FrozenNetwork, crops: np.ndarray, model: keras.Model) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "activations.npy"
        np.save(path, frozen(crops))
        for _ in range(EPOCHS):
            model.train_on_batch(np.load(path).astype(np.float32), _labels())


def _plain(arrays: dict[str, np.ndarray], side: int, trains: str) -> partial[None]:
    """The whole network, frozen but for what is trained, ten times over the same images."""
    contract = ModelContract(name="bench", classes=CLASSES, input_size=side)
    network = backbone(contract, arrays, "torch")
    for layer in network.layers:
        layer.trainable = trains != "head" and layer.name.startswith("block5")
    flat = keras.layers.Flatten()(network.output)
    model = keras.Model(network.input, keras.layers.Dense(len(CLASSES))(flat))
    _compile(model)
    return partial(_train, model, _crops(side))


def _train(model: keras.Model, crops: np.ndarray) -> None:
    for _ in range(EPOCHS):
        model.train_on_batch(crops, _labels())


def _compile(model: keras.Model) -> None:
    rate = TrainConfig().learning_rate
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate), loss)


def _crops(side: int) -> np.ndarray:
    return RNG.integers(0, 256, (BATCH, side, side, 3), np.uint8)


def _labels() -> np.ndarray:
    return np.arange(BATCH) % len(CLASSES)
