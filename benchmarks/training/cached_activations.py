"""Training from activations cached at the freeze boundary, against training without a cache.

The baseline is the training loop of the replaced project: Keras `fit`, which runs the whole network
for every image in every epoch, at 224 px. Weights and pixels are random: speed does not depend on
them, and nothing is downloaded.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from benchmarks.images import random_crops
from benchmarks.measure import Row, ratio
from benchmarks.training.random_weights import draw_weights
from pipeline.config.hyperparameters import FeaturesConfig, TrainConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.frozen_network import FrozenNetwork
from pipeline.modeling.linear_head import fit_linear_head
from pipeline.modeling.network import backbone, classifier, pooled_blocks

BATCH = 32
EPOCHS = 10
CLASSES = ("A", "B", "C", "D")


def rows() -> list[Row]:
    """The head, and block5 with the head, against 224 px (the replaced project) and 128 px."""
    arrays = draw_weights()
    rows = []
    for trains, cached in (("head", _head(arrays)), ("block5 and head", _block5(arrays))):
        for side in (224, 128):
            row = ratio(
                f"ten epochs of {trains}, extraction included",
                cached,
                _uncached(arrays, side, trains),
                f"Keras, whole network each epoch, {side} px",
                rounds=3,
            )
            rows.append(row)
    return rows


def _head(arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """Work to measure: extract region means once, then fit the linear head."""
    contract = ModelContract(name="bench", classes=CLASSES)
    frozen = FrozenNetwork(contract, arrays, "torch", FeaturesConfig())
    crops, fit = random_crops(BATCH, contract.input_size), TrainConfig()
    examples = _labels(), np.ones(BATCH), len(CLASSES)
    return lambda: fit_linear_head(frozen(crops).astype(np.float64), *examples, fit.penalty)


def _block5(arrays: dict[str, np.ndarray]) -> Callable[[], object]:
    """Work to measure: extract feature maps once, then train block5 on them for ten epochs."""
    contract = ModelContract(name="bench", classes=CLASSES)
    features = FeaturesConfig(boundary="block4_pool", keep="maps")
    frozen = FrozenNetwork(contract, arrays, "torch", features)
    crops = random_crops(BATCH, contract.input_size)
    activations = frozen(crops).astype(np.float32)
    blocks = pooled_blocks(features.boundary, activations.shape[1:], arrays)
    model = classifier(blocks, activations, len(CLASSES), dropout=0.2)
    _compile(model)

    def extract_and_train() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "activations.npy"
            np.save(path, frozen(crops))
            for _ in range(EPOCHS):
                model.train_on_batch(np.load(path).astype(np.float32), _labels())

    return extract_and_train


def _uncached(arrays: dict[str, np.ndarray], side: int, trains: str) -> Callable[[], object]:
    """Work to measure: train the head or block5 for ten epochs through the whole network."""
    contract = ModelContract(name="bench", classes=CLASSES, input_size=side)
    network = backbone(contract, arrays, "torch")
    for layer in network.layers:
        layer.trainable = trains != "head" and layer.name.startswith("block5")
    flat = keras.layers.Flatten()(network.output)
    model = keras.Model(network.input, keras.layers.Dense(len(CLASSES))(flat))
    _compile(model)
    crops = random_crops(BATCH, side)
    return lambda: [model.train_on_batch(crops, _labels()) for _ in range(EPOCHS)]


def _compile(model: keras.Model) -> None:
    rate = TrainConfig().learning_rate
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate), loss)


def _labels() -> np.ndarray:
    return np.arange(BATCH) % len(CLASSES)
