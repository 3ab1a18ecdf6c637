"""VGG16 in two parts, the frozen backbone and the trained blocks, and the complete model."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.model_contract import ModelContract
from pipeline.engine.frozen_network import CAFFE_MEAN, LAYERS, TORCH_MEAN, TORCH_STD, Arrays
from pipeline.modeling.embedding import Projection
from pipeline.modeling.keras_region_means import region_means
from pipeline.modeling.linear_head import floored_variance


def backbone(contract: ModelContract, arrays: Arrays, normalization: str) -> keras.Model:
    """Frozen VGG16: pixels (n, size, size, 3) uint8 to `block5_pool`, normalised in the graph."""
    size = contract.input_size
    pixels = keras.Input((size, size, 3), dtype="uint8", name="pixels")
    normalized = _normalize(pixels, normalization)
    network = keras.applications.VGG16(include_top=False, weights=None, input_tensor=normalized)
    _set_convolutions(network, LAYERS, arrays)
    network.trainable = False
    return network


def _normalize(pixels: keras.KerasTensor, normalization: str) -> keras.KerasTensor:
    """RGB, 0 to 255, normalised as the weights expect: `torch`, else `caffe` (BGR)."""
    x = keras.ops.cast(pixels, "float32")
    if normalization == "torch":
        variance = np.square(TORCH_STD) * 255**2
        mean = np.array(TORCH_MEAN) * 255
        return keras.layers.Normalization(mean=mean, variance=variance, name="normalize")(x)
    x = keras.ops.flip(x, axis=-1)
    return keras.layers.Normalization(mean=CAFFE_MEAN, variance=(1, 1, 1), name="normalize")(x)


def _set_convolutions(model: keras.Model, layers: Sequence[str], arrays: Arrays) -> None:
    for layer in layers:
        model.get_layer(layer).set_weights([arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"]])


def layers_after(boundary: str) -> list[str]:
    """Names of VGG16's convolutions behind a pooling layer: the trained ones."""
    return [layer for layer in LAYERS if layer.partition("_")[0] > boundary.partition("_")[0]]


def pooled_blocks(boundary: str, shape: tuple[int, ...], arrays: Arrays) -> keras.Model:
    """VGG16's blocks behind the boundary: activations to one pooled vector per image.

    The vector has the spatial mean of the boundary and of each block behind it, and the spatial
    maximum of the last (global average pooling: Lin et al., ICLR 2014; shallow and deep layers
    together: Hariharan et al., CVPR 2015).

    Args:
        boundary: pooling layer whose activations are the input.
        shape: (height, width, channels) of the input.
        arrays: ImageNet's convolutions, the initial weights.
    """
    activations = x = keras.Input(shape, name="activations")
    trained = layers_after(boundary)
    levels = [x]
    for index, layer in enumerate(trained):
        block = layer.partition("_")[0]
        width = arrays[f"{layer}/bias"].shape[0]
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=layer)(x)
        if index + 1 == len(trained) or not trained[index + 1].startswith(block):
            x = keras.layers.MaxPooling2D(name=f"{block}_pool")(x)
            levels.append(x)
    parts = [keras.layers.GlobalAveragePooling2D()(level) for level in levels]
    parts.append(keras.layers.GlobalMaxPooling2D(name="largest")(x))
    model = keras.Model(activations, keras.layers.Concatenate(name="pooled")(parts), name="blocks")
    _set_convolutions(model, trained, arrays)
    return model


def classifier(
    blocks: keras.Model, sample: NDArray[np.float32], classes: int, dropout: float
) -> keras.Model:
    """The blocks with dropout and a linear layer: activations to logits, all 0 before training.

    Args:
        blocks: from `pooled_blocks`.
        sample: activations (n, height, width, channels), by which the input is standardised.
        classes: number of classes.
        dropout: share of the vector that a training step drops.
    """
    vectors = blocks.predict(sample, batch_size=64, verbose=0)
    mean, variance = vectors.mean(axis=0), floored_variance(vectors.var(axis=0))
    x = keras.layers.Normalization(mean=mean, variance=variance, name="level")(blocks.output)
    x = keras.layers.Dropout(dropout, seed=0, name="dropout")(x)
    logits = keras.layers.Dense(classes, kernel_initializer="zeros", name="logits")(x)
    return keras.Model(blocks.input, logits, name="classifier")


def assemble(
    network: keras.Model,
    features: FeaturesConfig,
    trained: keras.Model,
    temperature: float,
    projection: Projection,
) -> keras.Model:
    """The complete model: pixels uint8 to calibrated `probabilities` and `embedding`.

    Args:
        network: the backbone.
        features: freeze boundary, and whether the trained part gets region means or maps.
        trained: region means or maps to logits.
        temperature: divides the logits (Guo et al., ICML 2017).
        projection: of region means or of spatial means of maps.
    """
    if features.keep == "regions":
        levels = [network.get_layer(name).output for name in pools_until(features.boundary)]
        (pixels,) = network.inputs
        inputs = vectors = region_means(pixels, levels, pixels.shape[1])
    else:
        inputs = network.get_layer(features.boundary).output
        vectors = keras.layers.GlobalAveragePooling2D(name="average")(inputs)
    scaled = keras.layers.Rescaling(1 / temperature, name="temper")(trained(inputs))
    probabilities = keras.layers.Softmax(name="probabilities")(scaled)
    outputs = {"probabilities": probabilities, "embedding": projection.to_keras()(vectors)}
    return keras.Model(network.input, outputs, name="leukoflow")


def predict(
    model: keras.Model, crops: Pixels, batch_size: int = 16
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities (n, classes) and embeddings (n, embedding_size) of crops, by Keras."""
    outputs = model.predict(crops, batch_size=batch_size, verbose=0)
    return outputs["probabilities"], outputs["embedding"]


def pools_until(boundary: str) -> list[str]:
    """Names of VGG16's pooling layers up to and including `boundary`."""
    return [f"block{number}_pool" for number in range(1, int(boundary[len("block")]) + 1)]


def set_determinism(seed: int) -> None:
    """Seed this process's generators, reset Keras's layer names, select deterministic kernels."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
