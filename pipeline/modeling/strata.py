"""Strata and folds of groups, some of which hold several classes, as patients do."""

from itertools import pairwise

import numpy as np

from pipeline.modeling.metrics import Bools, Ints


def strata_of(codes: Ints, labels: Ints) -> Ints:
    """Stratum of each image (n,), the same for all images of a group.

    Where each group holds one class, the class. Classes that a group holds together are one
    stratum, called after the smallest: whoever draws the group draws images of both, so that
    neither can be resampled alone (a stratified cluster bootstrap needs strata made of whole
    clusters: Davison & Hinkley, Bootstrap Methods, 1997, section 3.8).

    Args:
        codes: group of each image (n,), 0 to k-1.
        labels: class of each image (n,).
    """
    stratum = np.arange(int(labels.max(initial=-1)) + 1)
    pairs = np.unique(np.stack([codes, labels], axis=1), axis=0)
    for (group, one), (same, other) in pairwise(pairs):
        if group == same and stratum[one] != stratum[other]:
            low, high = sorted((stratum[one], stratum[other]))
            stratum[stratum == high] = low
    return np.asarray(stratum[labels])


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
