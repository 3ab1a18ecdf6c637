"""Assignment of groups to folds; a group may have several classes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.statistics.folds import balanced_folds


def test_groups_of_one_class_go_to_the_folds_in_turn() -> None:
    """In the order of the groups."""
    labels = np.arange(12) % 3
    assert balanced_folds(np.eye(3, dtype=bool)[labels], 4).tolist() == [
        index // 3 % 4 for index in range(12)
    ]


@given(st.lists(st.integers(1, 15), min_size=2, max_size=30), st.integers(2, 5))
def test_the_rarest_class_is_in_as_many_folds_as_possible(sets: list[int], folds: int) -> None:
    """In one fold per group, up to the number of folds."""
    contains = np.array([[bool(one & 1 << k) for k in range(4)] for one in sets])
    fold = balanced_folds(contains, folds)
    rarest = contains.sum(axis=0)
    for label in np.flatnonzero(rarest == rarest[rarest > 0].min()):
        if rarest[label] >= 2 and label == np.flatnonzero(rarest == rarest[label])[0]:
            assert len(set(fold[contains[:, label]])) == min(rarest[label], folds)
