"""Assignment of groups to folds, balanced by class; a group may have several classes.

Not scikit-learn's `StratifiedGroupKFold`: other folds would change the trained head.
"""

import numpy as np

from pipeline.statistics.groups import Bools, Ints


def balanced_folds(contains: Bools, folds: int) -> Ints:
    """Assign each group to a fold, 0 to `folds` - 1, balanced by class (k,).

    A group goes to the fold with the smallest share of its classes so far. Groups of the rarest
    class are assigned first.

    Args:
        contains: whether a group has images of a class (k, classes).
        folds: number of folds.
    """
    sizes = contains.sum(axis=0)
    counts = np.zeros((folds, contains.shape[1]))
    fold = np.full(len(contains), -1, np.int64)
    for label in np.argsort(sizes, kind="stable"):
        for group in np.flatnonzero(contains[:, label] & (fold < 0)):
            shares = counts[:, contains[group]] / sizes[contains[group]]
            fold[group] = shares.sum(axis=1).argmin()
            counts[fold[group]] += contains[group]
    return fold
