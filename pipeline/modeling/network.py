"""VGG16, cut at the freeze boundary, and the head that is trained on top."""

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.spec import ModelContract
from pipeline.modeling.frozen import CAFFE_MEAN, TORCH_MEAN, TORCH_STD
from pipeline.modeling.weights import LAYERS, Arrays


def backbone(contract: ModelContract, arrays: Arrays, normalization: str) -> keras.Model:
    """Pixels (n, size, size, 3) uint8 to `block5_pool`, normalised inside the graph."""
    size = contract.input_size
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    normalized = _normalize(pixels, normalization)
    network = keras.applications.VGG16(include_top=False, weights=None, input_tensor=normalized)
    for layer in LAYERS:
        network.get_layer(layer).set_weights([arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"]])
    network.trainable = False
    return network


def _normalize(pixels: keras.KerasTensor, normalization: str) -> keras.KerasTensor:
    x = keras.ops.cast(pixels, "float32")
    if normalization == "torch":
        variance = np.square(TORCH_STD) * 255**2
        mean = np.array(TORCH_MEAN) * 255
        return keras.layers.Normalization(mean=mean, variance=variance, name="normalize")(x)
    x = keras.ops.flip(x, axis=-1)
    return keras.layers.Normalization(mean=CAFFE_MEAN, variance=(1, 1, 1), name="normalize")(x)


def head(features_shape: tuple[int, ...], classes: int, seed: int) -> keras.Model:
    """The replaced project's own head: flatten and one softmax layer.

    Activations are scaled to about one first, or a step of Adam moves the logits by ten.
    """
    features = keras.Input(features_shape, name="features")
    scaled = keras.layers.Rescaling(0.1, name="scale")(features)
    flat = keras.layers.Flatten(name="flatten")(scaled)
    start = keras.initializers.GlorotUniform(seed=seed)
    dense = keras.layers.Dense(classes, kernel_initializer=start, name="logits")(flat)
    return keras.Model(features, keras.layers.Softmax(name="probabilities")(dense), name="head")


def embedding_head(features_shape: tuple[int, ...], projection: "Projection") -> keras.Model:
    """Average pooling and a fixed projection: features to (n, embedding_size)."""
    features = keras.Input(features_shape, name="embedding_features")
    pooled = keras.layers.GlobalAveragePooling2D(name="average")(features)
    dense = keras.layers.Dense(projection.kernel.shape[1], trainable=False, name="projection")
    model = keras.Model(features, dense(pooled), name="embedder")
    dense.set_weights([projection.kernel, projection.bias])
    return model


class Projection:
    """Principal components of pooled training activations, scaled to unit variance."""

    def __init__(self, pooled: NDArray[np.float32], size: int) -> None:
        """Fit on pooled activations (n, channels); needs n > 1."""
        mean = pooled.mean(axis=0, dtype=np.float64)
        _, scale, axes = np.linalg.svd(pooled - mean, full_matrices=False)
        kernel = np.zeros((pooled.shape[1], size))
        kept = min(size, int((scale > scale[0] * 1e-6).sum()))
        # The sign of a component is arbitrary: fix it, or retraining would look like drift.
        signs = np.sign(axes[np.arange(kept), np.abs(axes[:kept]).argmax(axis=1)])
        deviations = scale[:kept] / np.sqrt(len(pooled) - 1)
        kernel[:, :kept] = axes[:kept].T * signs / deviations
        self.kernel = kernel.astype(np.float32)
        self.bias = (-mean @ kernel).astype(np.float32)


def assemble(network: keras.Model, classifier: keras.Model, projection: Projection) -> keras.Model:
    """The whole model: pixels uint8 to `probabilities` and `embedding`."""
    features = network.output
    probabilities = keras.layers.Identity(name="probabilities")(classifier(features))
    embedder = embedding_head(tuple(features.shape[1:]), projection)
    embedding = keras.layers.Identity(name="embedding")(embedder(features))
    outputs = {"probabilities": probabilities, "embedding": embedding}
    return keras.Model(network.input, outputs, name="leukoflow")


def set_determinism(seed: int) -> None:
    """Seed every generator, count layer names anew, and ask for deterministic kernels."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
