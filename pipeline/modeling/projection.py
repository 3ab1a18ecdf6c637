"""Where an image lies among those that were learned from: what drift looks at, and review."""

import keras
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.modeling.head import floored, levelled

_LEAST_VARIANCE = 0.1
"""Of a levelled value, outside the components. With few images these hold nearly everything, and
what is left has no scale of its own; a hundred cells leave more than that."""
_NOTHING = 1e-6
"""Of the largest deviation: a component that varies less is none."""


class Projection:
    """Vectors to embeddings: how far outside the components a vector lies, then the components.

    Of levelled vectors the first principal components are kept, each scaled to unit variance, and
    the length of what they leave over, in deviations of a direction outside them. Components alone
    count only those directions in which training images differ most; images of another microscope
    mostly differ in others (distance in and from feature space: B. Moghaddam, A. Pentland:
    "Probabilistic Visual Learning for Object Representation", PAMI 19, 1997). How far outside two
    images lie is compared, not in which direction. docs/experiments.md has what that is worth.
    """

    def __init__(self, vectors: NDArray[np.float32], size: int) -> None:
        """Fit on vectors (n, values), n > 1; `size` is at least 2."""
        self._mean = vectors.mean(axis=0, dtype=np.float64)
        self._variance = floored(vectors.var(axis=0, dtype=np.float64))
        # One thread: sums in another order would give another bundle.
        with threadpool_limits(limits=1):
            _, lengths, axes = np.linalg.svd(
                levelled(vectors, self._mean, self._variance), full_matrices=False
            )
        deviations = lengths / np.sqrt(len(vectors) - 1)
        kept = min(size - 1, int((deviations > deviations[0] * _NOTHING).sum()))
        # The sign of a component is arbitrary: fix it, or retraining would look like drift.
        signs = np.sign(axes[np.arange(kept), np.abs(axes[:kept]).argmax(axis=1)])
        signed, scales = np.zeros((size - 1, len(self._mean))), np.ones((size - 1, 1))
        signed[:kept], scales[:kept, 0] = axes[:kept] * signs[:, None], deviations[:kept]
        self._components = (signed / scales).T
        self._back = signed * scales
        left = (deviations[kept:] ** 2).sum() / max(1, len(self._mean) - kept)
        self._outside = float(np.sqrt(max(left, _LEAST_VARIANCE)))

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings (n, size) of vectors (n, values)."""
        around = levelled(vectors, self._mean, self._variance)
        components = around @ self._components
        left = np.linalg.norm(around - components @ self._back, axis=1, keepdims=True)
        return np.hstack([left / self._outside, components]).astype(np.float32)

    def model(self) -> keras.Model:
        """The same in Keras, nothing of it trainable."""
        vectors = keras.Input((len(self._mean),), name="vectors")
        level = keras.layers.Normalization(mean=self._mean, variance=self._variance, name="level")
        to, back = (
            keras.layers.Dense(kernel.shape[1], use_bias=False, trainable=False, name=name)
            for name, kernel in (("components", self._components), ("back", self._back))
        )
        around = level(vectors)
        components = to(around)
        squared = keras.ops.square(around - back(components))
        left = keras.ops.sqrt(keras.ops.sum(squared, axis=1, keepdims=True))
        embedding = keras.layers.Concatenate(name="embedding")([left / self._outside, components])
        to.set_weights([self._components])
        back.set_weights([self._back])
        return keras.Model(vectors, embedding, name="projection")
