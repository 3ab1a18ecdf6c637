"""The linear head behind kept regions: a convex problem, solved and not approximated by epochs."""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from pipeline.errors import InvalidInputError
from pipeline.statistics.folds import balanced_folds
from pipeline.statistics.metrics import Floats, Ints

_MOST_ROUNDS = 2000


@dataclass(frozen=True)
class Head:
    """Vectors to logits."""

    mean: Floats
    """Of the training vectors (values,), like `variance`."""
    variance: Floats
    kernel: Floats
    """(values, classes), for levelled vectors."""
    bias: Floats
    """(classes,)."""

    def __call__(self, vectors: Floats | NDArray[np.float32]) -> Floats:
        """Logits (n, classes) of vectors (n, values)."""
        return np.asarray(levelled(vectors, self.mean, self.variance) @ self.kernel + self.bias)

    def model(self) -> keras.Model:
        """The same in Keras."""
        vectors = keras.Input((len(self.mean),), name="regions")
        level = keras.layers.Normalization(mean=self.mean, variance=self.variance, name="level")
        dense = keras.layers.Dense(len(self.bias), name="logits")
        model = keras.Model(vectors, dense(level(vectors)), name="classifier")
        dense.set_weights([self.kernel, self.bias])
        return model


def solve(vectors: Floats, labels: Ints, weights: Floats, classes: int, penalty: float) -> Head:
    """Multinomial logistic regression; the same data gives the same head, whatever the seed.

    Args:
        vectors: (n, values).
        labels: (n,), every class present.
        weights: evidence of each row (n,).
        classes: number of classes.
        penalty: on half the squared kernel, beside the weighted mean of the losses.
    """
    mean = np.average(vectors, axis=0, weights=weights)
    variance = np.average((vectors - mean) ** 2, axis=0, weights=weights)
    variance = floored(variance)
    share = weights / weights.sum(dtype=np.float64)
    # One thread: sums in another order would give another bundle.
    with threadpool_limits(limits=1):
        found = LogisticRegression(C=1 / penalty, max_iter=_MOST_ROUNDS).fit(
            levelled(vectors, mean, variance), labels, sample_weight=share
        )
    kernel, bias = found.coef_.T, found.intercept_
    if classes == 2:
        # One column tells two classes apart: half for, half against.
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.array([-bias[0], bias[0]]) / 2
    return Head(mean, variance, kernel, bias)


def floored(variance: Floats) -> Floats:
    """Variances (values,) to level by: what hardly varies must not be blown up where it does."""
    return np.asarray(variance + (0.01 * float(variance.mean()) + 1e-6))


def levelled(vectors: Floats | NDArray[np.float32], mean: Floats, variance: Floats) -> Floats:
    """Vectors (n, values) around 0, in deviations."""
    return np.asarray((vectors - mean) / np.sqrt(variance))


def folds_of(groups: Ints, labels: Ints, folds: int) -> Ints:
    """Fold of each image (n,), 0 to `folds` - 1: the groups of each class in turn.

    Args:
        groups: slide, patient or source cell of each image (n,).
        labels: (n,).
        folds: how many.

    Raises:
        InvalidInputError: when all images of a class are in one fold: no other learns it.
    """
    named, place = np.unique(groups, return_inverse=True)
    holds = np.zeros((len(named), int(labels.max()) + 1), bool)
    holds[place, labels] = True
    fold = balanced_folds(holds, folds)[place]
    for label in np.unique(labels):
        if len(np.unique(fold[labels == label])) == 1:
            raise InvalidInputError(
                f"class number {label} cannot be left out of a fold and learned from the others",
                expected="at least 2 groups (slides, patients or source cells) of each class",
                received=str(holds[:, label].sum()),
            )
    return fold
