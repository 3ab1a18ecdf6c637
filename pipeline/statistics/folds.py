"""Folds of groups, some of which hold several classes, as patients do."""

import numpy as np

from pipeline.statistics.metrics import Bools, Ints


def balanced_folds(holds: Bools, folds: int) -> Ints:
    """Fold of each group (k,), 0 to `folds` - 1: those of each class in turn.

    A group goes to the fold that has the smallest share of the classes it holds. The class of the
    fewest groups has the first choice, for it has the least.

    Args:
        holds: whether a group holds a class (k, classes).
        folds: how many.
    """
    sizes = holds.sum(axis=0)
    counts = np.zeros((folds, holds.shape[1]))
    fold = np.full(len(holds), -1, np.int64)
    for label in np.argsort(sizes, kind="stable"):
        for group in np.flatnonzero(holds[:, label] & (fold < 0)):
            shares = counts[:, holds[group]] / sizes[holds[group]]
            fold[group] = shares.sum(axis=1).argmin()
            counts[fold[group]] += holds[group]
    return fold
