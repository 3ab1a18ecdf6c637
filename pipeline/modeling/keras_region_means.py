"""Region means in the Keras graph; `engine/region_means.py` has the same ones in OpenVINO."""

from collections.abc import Sequence

import keras

from pipeline.engine.region_means import (
    EPSILON,
    ITERATIONS,
    MIN_THRESHOLD,
    SOFTNESS,
    STAIN,
    Windows,
)


def region_means(
    pixels: keras.KerasTensor, levels: Sequence[keras.KerasTensor], size: int
) -> keras.KerasTensor:
    """One vector per image: each level's mean over the nucleus, then over its surroundings.

    Args:
        pixels: (n, size, size, 3), 0 to 255 in any type.
        levels: outputs of pooling layers, each (n, side, side, channels).
        size: side of the crop.
    """
    masks = _region_masks(pixels, Windows.of(size))
    means = []
    for level in levels:
        stride = size // level.shape[1]
        for mask in masks:
            share = keras.layers.AveragePooling2D(stride)(mask)
            total = keras.ops.sum(share, axis=(1, 2)) + EPSILON
            means.append(keras.ops.sum(level * share, axis=(1, 2)) / total)
    return keras.layers.Concatenate(name="regions")(means)


def _region_masks(pixels: keras.KerasTensor, windows: Windows) -> list[keras.KerasTensor]:
    """Masks of the nucleus and of its surroundings, each (n, size, size, 1), 0 to 1."""
    ops = keras.ops
    red, green, blue = ops.split(ops.cast(pixels, "float32"), 3, axis=-1)
    stain = STAIN[0] * red + STAIN[1] * green + STAIN[2] * blue
    stain = _box_mean(stain, windows.smooth)
    axes = (1, 2, 3)
    threshold = (
        ops.mean(stain, axis=axes, keepdims=True) + ops.max(stain, axis=axes, keepdims=True)
    ) / 2
    for _ in range(ITERATIONS):
        above = ops.sigmoid((stain - threshold) / SOFTNESS)
        threshold = (_weighted_mean(stain, above) + _weighted_mean(stain, 1 - above)) / 2
    nucleus = ops.sigmoid((stain - ops.maximum(threshold, MIN_THRESHOLD)) / SOFTNESS)
    return [nucleus, _box_mean(nucleus, windows.around) * (1 - nucleus)]


def _box_mean(plane: keras.KerasTensor, side: int) -> keras.KerasTensor:
    """Mean over the square window of `side` pixels around each pixel; the size stays."""
    return keras.layers.AveragePooling2D(side, strides=1, padding="same")(plane)


def _weighted_mean(plane: keras.KerasTensor, weights: keras.KerasTensor) -> keras.KerasTensor:
    ops = keras.ops
    total = ops.sum(weights, axis=(1, 2, 3), keepdims=True) + EPSILON
    return ops.sum(plane * weights, axis=(1, 2, 3), keepdims=True) / total
