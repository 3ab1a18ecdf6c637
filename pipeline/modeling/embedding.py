"""The embedding of an image: principal components, and the residual that they leave."""

import keras
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pipeline.modeling.linear_head import floored_variance, standardise

_MIN_RESIDUAL_VARIANCE = 0.1
"""Smallest residual variance of a standardised value: with few images the components explain nearly
all variance. A hundred cells leave a larger residual."""
_MIN_RELATIVE_DEVIATION = 1e-6
"""Components whose standard deviation is a smaller share of the largest one are dropped."""


class Projection:
    """Projects vectors to embeddings: norm of the PCA residual, then the principal components.

    Vectors are standardised first. Components are scaled to unit variance; the norm of the residual
    is in standard deviations of one residual direction. Components cover the directions in which
    training images differ most; images of another microscope mostly differ in other directions,
    which the residual shows (distance in and from feature space: B. Moghaddam, A. Pentland:
    "Probabilistic Visual Learning for Object Representation", PAMI 19, 1997). Its direction is not
    kept. docs/decisions/0015 has the results.
    """

    def __init__(self, vectors: NDArray[np.float32], size: int) -> None:
        """Fit on vectors (n, values), n > 1; `size` is at least 2."""
        self._mean = vectors.mean(axis=0, dtype=np.float64)
        self._variance = floored_variance(vectors.var(axis=0, dtype=np.float64))
        # One thread: another order of summation would change the bundle's digest.
        with threadpool_limits(limits=1):
            _, lengths, axes = np.linalg.svd(
                standardise(vectors, self._mean, self._variance), full_matrices=False
            )
        deviations = lengths / np.sqrt(len(vectors) - 1)
        significant = deviations > deviations[0] * _MIN_RELATIVE_DEVIATION
        kept = min(size - 1, int(significant.sum()))
        # A component's sign is arbitrary; without a rule for it, retraining would look like drift.
        signs = np.sign(axes[np.arange(kept), np.abs(axes[:kept]).argmax(axis=1)])
        signed, scales = np.zeros((size - 1, len(self._mean))), np.ones((size - 1, 1))
        signed[:kept], scales[:kept, 0] = axes[:kept] * signs[:, None], deviations[:kept]
        self._components = (signed / scales).T
        self._inverse = signed * scales
        residual = (deviations[kept:] ** 2).sum() / max(1, len(self._mean) - kept)
        self._residual_deviation = float(np.sqrt(max(residual, _MIN_RESIDUAL_VARIANCE)))

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings (n, size) of vectors (n, values)."""
        standardised = standardise(vectors, self._mean, self._variance)
        components = standardised @ self._components
        residual = standardised - components @ self._inverse
        norm = np.linalg.norm(residual, axis=1, keepdims=True) / self._residual_deviation
        return np.hstack([norm, components]).astype(np.float32)

    def to_keras(self) -> keras.Model:
        """The projection as a Keras model without trainable weights."""
        vectors = keras.Input((len(self._mean),), name="vectors")
        # Layer names are part of the saved file, and so of its digest.
        scaler = keras.layers.Normalization(mean=self._mean, variance=self._variance, name="level")
        project, invert = (
            keras.layers.Dense(kernel.shape[1], use_bias=False, trainable=False, name=name)
            for name, kernel in (("components", self._components), ("back", self._inverse))
        )
        standardised = scaler(vectors)
        components = project(standardised)
        squared = keras.ops.square(standardised - invert(components))
        norm = keras.ops.sqrt(keras.ops.sum(squared, axis=1, keepdims=True))
        norm = norm / self._residual_deviation
        embedding = keras.layers.Concatenate(name="embedding")([norm, components])
        project.set_weights([self._components])
        invert.set_weights([self._inverse])
        return keras.Model(vectors, embedding, name="projection")
