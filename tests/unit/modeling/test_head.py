"""The solved head: one answer for the same data, and cells that are never on both sides."""

import numpy as np
import pytest
from scipy.special import softmax

from pipeline.errors import InvalidInputError
from pipeline.modeling.head import folds_of, solve

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("classes", [2, 4])
def test_keras_answers_like_the_solution(classes: int) -> None:
    """Two classes are two columns too."""
    labels = np.arange(80) % classes
    vectors = RNG.normal(3, 2, (80, 6)) + labels[:, None]
    head = solve(vectors, labels, np.ones(80), classes, penalty=0.1)
    assert head.bias.shape == (classes,)
    expected = head.model().predict(vectors, verbose=0)
    np.testing.assert_allclose(head(vectors), expected, atol=1e-4)
    assert (head(vectors).argmax(axis=1) == labels).mean() > 1.5 / classes


def test_the_solution_is_where_no_step_helps() -> None:
    """The penalised mean loss has no slope there: the optimum that its docstring names."""
    labels = np.arange(90) % 3
    vectors, weights = RNG.normal(size=(90, 5)) + labels[:, None], RNG.uniform(0.5, 2, 90)
    head = solve(vectors, labels, weights, 3, penalty=0.2)
    levelled = (vectors - head.mean) / np.sqrt(head.variance)
    missed = softmax(head(vectors), axis=1) - np.eye(3)[labels]
    share = weights / weights.sum()
    np.testing.assert_allclose(
        levelled.T @ (missed * share[:, None]), -0.2 * head.kernel, atol=1e-3
    )


def test_images_that_weigh_nothing_teach_nothing() -> None:
    """Copies of a cell share its weight, so that many say no more than one."""
    labels = np.arange(40) % 2
    vectors = RNG.normal(size=(40, 3)) + labels[:, None]
    once = solve(vectors, labels, np.ones(40), 2, penalty=0.5)
    often = solve(vectors.repeat(5, 0), labels.repeat(5), np.full(200, 0.2), 2, penalty=0.5)
    np.testing.assert_allclose(often.kernel, once.kernel, atol=1e-3)


def test_no_cell_is_cut_and_each_class_is_in_most_folds() -> None:
    """Cells of a class are dealt in turn, so that each fold is answered by heads that know it."""
    cells = np.repeat(np.arange(12), 4)
    labels = np.repeat(np.arange(12) % 3, 4)
    folds = folds_of(cells, labels, 4)
    assert all(len(set(folds[cells == cell])) == 1 for cell in range(12))
    for label in range(3):
        assert set(folds[labels == label]) == {0, 1, 2, 3}


def test_a_patient_of_several_classes_takes_none_from_all_other_folds() -> None:
    """Whatever a patient's first image shows, each class can be left out and learned."""
    patients = np.repeat(np.arange(8), 3)
    labels = np.where(patients < 2, 1, 0)
    labels[::3] = 0
    folds = folds_of(patients, labels, 5)
    assert all(len(set(folds[patients == one])) == 1 for one in range(8))
    assert len(set(folds[labels == 1])) == 2
    assert len(set(folds)) == 5


def test_a_class_of_one_group_cannot_be_cross_fitted() -> None:
    """The error names what is needed; without it the head of that fold would lack a column."""
    with pytest.raises(InvalidInputError, match="at least 2 groups"):
        folds_of(np.array([0, 0, 1, 2]), np.array([1, 1, 0, 0]), 2)
