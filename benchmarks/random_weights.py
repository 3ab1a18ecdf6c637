"""VGG16's convolutions drawn at random, where only shape and speed count."""

import numpy as np

from pipeline.modeling.weights import LAYERS, Arrays

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def draw_weights(seed: int = 0) -> Arrays:
    """Kernels and biases that keep activations in range (He et al., ICCV 2015)."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    before = 3
    for layer, width in zip(LAYERS, _WIDTHS, strict=True):
        spread = np.sqrt(2 / (9 * before))
        kernel = rng.normal(0, spread, (3, 3, before, width))
        arrays[f"{layer}/kernel"] = kernel.astype(np.float32)
        arrays[f"{layer}/bias"] = rng.normal(0, 0.1, width).astype(np.float32)
        before = width
    return arrays
