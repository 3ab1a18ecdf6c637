"""Groups that hold several classes, in resampling and in folds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.modeling.strata import balanced_folds, strata_of

images = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=40)


def test_where_groups_have_one_class_strata_are_classes() -> None:
    """As they were before a group could be a patient."""
    codes, labels = np.array([0, 0, 1, 2, 3]), np.array([2, 2, 0, 2, 1])
    assert strata_of(codes, labels).tolist() == labels.tolist()


def test_classes_that_a_group_holds_together_are_one_stratum() -> None:
    """Also through another group; a class of its own stays one."""
    codes = np.array([0, 0, 1, 1, 2, 3])
    labels = np.array([1, 2, 2, 4, 0, 3])
    assert strata_of(codes, labels).tolist() == [1, 1, 1, 1, 0, 3]


@given(images)
def test_a_group_and_a_class_lie_in_one_stratum(drawn: list[tuple[int, int]]) -> None:
    """So a stratum is made of whole groups and of all images of its classes."""
    codes, labels = np.array(drawn).T
    strata = strata_of(codes, labels)
    for values in (codes, labels):
        assert all(len(set(strata[values == one])) == 1 for one in values)


def test_groups_of_one_class_go_to_the_folds_in_turn() -> None:
    """As they did before."""
    labels = np.arange(12) % 3
    assert balanced_folds(np.eye(3, dtype=bool)[labels], 4).tolist() == [
        place // 3 % 4 for place in range(12)
    ]


@given(st.lists(st.integers(1, 15), min_size=2, max_size=30), st.integers(2, 5))
def test_a_class_is_in_as_many_folds_as_it_can(sets: list[int], folds: int) -> None:
    """A rarest class is never in one fold alone when two groups hold it."""
    holds = np.array([[bool(one & 1 << k) for k in range(4)] for one in sets])
    fold = balanced_folds(holds, folds)
    rarest = holds.sum(axis=0)
    for label in np.flatnonzero(rarest == rarest[rarest > 0].min()):
        if rarest[label] >= 2 and label == np.flatnonzero(rarest == rarest[label])[0]:
            assert len(set(fold[holds[:, label]])) == min(rarest[label], folds)
