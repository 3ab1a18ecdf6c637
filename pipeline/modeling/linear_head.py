"""The linear head on region means: multinomial logistic regression, solved to its optimum."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from pipeline.errors import InvalidInputError
from pipeline.statistics.folds import balanced_folds
from pipeline.statistics.groups import Floats, Ints

_MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class Head:
    """Linear classifier of region means: standardisation, weights and bias."""

    mean: Floats
    """Mean of the training vectors (values,); likewise `variance`."""
    variance: Floats
    kernel: Floats
    """(values, classes), for standardised vectors."""
    bias: Floats
    """(classes,)."""

    def __call__(self, vectors: Floats | NDArray[np.float32]) -> Floats:
        """Logits (n, classes) of vectors (n, values)."""
        return np.asarray(standardise(vectors, self.mean, self.variance) @ self.kernel + self.bias)

    def to_keras(self) -> keras.Model:
        """The head as a Keras model."""
        vectors = keras.Input((len(self.mean),), name="regions")
        # Layer names are part of the saved file, and so of its digest.
        scaler = keras.layers.Normalization(mean=self.mean, variance=self.variance, name="level")
        dense = keras.layers.Dense(len(self.bias), name="logits")
        model = keras.Model(vectors, dense(scaler(vectors)), name="classifier")
        dense.set_weights([self.kernel, self.bias])
        return model


def fit_linear_head(
    vectors: Floats, labels: Ints, weights: Floats, classes: int, penalty: float
) -> Head:
    """Fit a head by multinomial logistic regression, on one thread; deterministic.

    Args:
        vectors: (n, values).
        labels: (n,), every class present.
        weights: of the rows (n,).
        classes: number of classes.
        penalty: factor of half the squared kernel, which is added to the weighted mean loss.
    """
    mean = np.average(vectors, axis=0, weights=weights)
    variance = floored_variance(np.average((vectors - mean) ** 2, axis=0, weights=weights))
    share = weights / weights.sum(dtype=np.float64)
    # One thread: another order of summation would change the bundle's digest.
    with threadpool_limits(limits=1):
        fitted = LogisticRegression(C=1 / penalty, max_iter=_MAX_ITERATIONS).fit(
            standardise(vectors, mean, variance), labels, sample_weight=share
        )
    kernel, bias = fitted.coef_.T, fitted.intercept_
    if classes == 2:
        # scikit-learn gives two classes one column; each class gets half of it.
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
    return Head(mean, variance, kernel, bias)


def floored_variance(variance: Floats) -> Floats:
    """Variances (values,) plus a floor, so that nearly constant values are not scaled up."""
    return np.asarray(variance + (0.01 * float(variance.mean()) + 1e-6))


def standardise(vectors: Floats | NDArray[np.float32], mean: Floats, variance: Floats) -> Floats:
    """Vectors (n, values) minus their mean, over their standard deviation."""
    return np.asarray((vectors - mean) / np.sqrt(variance))


def folds_of(groups: Ints, labels: Ints, folds: int) -> Ints:
    """Fold of each image (n,), 0 to `folds` - 1, for cross-fitting; groups are never divided.

    Args:
        groups: slide, patient or source cell of each image (n,).
        labels: (n,).
        folds: number of folds.

    Raises:
        InvalidInputError: if a class has all its images in one fold, so that no other trains on it.
    """
    names, codes = np.unique(groups, return_inverse=True)
    contains = np.zeros((len(names), int(labels.max()) + 1), bool)
    contains[codes, labels] = True
    fold = balanced_folds(contains, folds)[codes]
    for label in np.unique(labels):
        if len(np.unique(fold[labels == label])) == 1:
            raise InvalidInputError(
                f"class {label} cannot be cross-fitted: all its images are in one fold",
                expected="at least 2 groups (slides, patients or source cells) of each class",
                received=str(contains[:, label].sum()),
            )
    return fold
