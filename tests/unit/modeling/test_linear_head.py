"""The head, and the folds of cross-fitting."""

import numpy as np
import pytest
from scipy.special import softmax

from pipeline.errors import InvalidInputError
from pipeline.modeling.linear_head import fit_linear_head, folds_of

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_keras_model_gives_the_logits_of_the_head(classes: int) -> None:
    """Two classes have two columns as well."""
    labels = np.arange(80) % classes
    vectors = RNG.normal(3, 2, (80, 6)) + labels[:, None]
    head = fit_linear_head(vectors, labels, np.ones(80), classes, penalty=0.1)
    assert head.bias.shape == (classes,)
    expected = head.to_keras().predict(vectors, verbose=0)
    np.testing.assert_allclose(head(vectors), expected, atol=1e-4)
    assert (head(vectors).argmax(axis=1) == labels).mean() > 1.5 / classes


def test_the_solution_is_the_optimum() -> None:
    """The gradient of the penalised mean loss is zero."""
    labels = np.arange(90) % 3
    vectors, weights = RNG.normal(size=(90, 5)) + labels[:, None], RNG.uniform(0.5, 2, 90)
    head = fit_linear_head(vectors, labels, weights, 3, penalty=0.2)
    standardised = (vectors - head.mean) / np.sqrt(head.variance)
    errors = softmax(head(vectors), axis=1) - np.eye(3)[labels]
    share = weights / weights.sum()
    np.testing.assert_allclose(
        standardised.T @ (errors * share[:, None]), -0.2 * head.kernel, atol=1e-3
    )


def test_copies_that_share_a_weight_do_not_change_the_head() -> None:
    """Five copies of a fifth of the weight equal one image."""
    labels = np.arange(40) % 2
    vectors = RNG.normal(size=(40, 3)) + labels[:, None]
    once = fit_linear_head(vectors, labels, np.ones(40), 2, penalty=0.5)
    often = fit_linear_head(
        vectors.repeat(5, 0), labels.repeat(5), np.full(200, 0.2), 2, penalty=0.5
    )
    np.testing.assert_allclose(often.kernel, once.kernel, atol=1e-3)


def test_a_cell_is_in_one_fold_and_a_class_in_all() -> None:
    """Cells of a class are assigned to folds in turn."""
    cells = np.repeat(np.arange(12), 4)
    labels = np.repeat(np.arange(12) % 3, 4)
    folds = folds_of(cells, labels, 4)
    assert all(len(set(folds[cells == cell])) == 1 for cell in range(12))
    for label in range(3):
        assert set(folds[labels == label]) == {0, 1, 2, 3}


def test_patients_of_several_classes_are_balanced_by_class() -> None:
    """Each class is in at least two folds, whatever the first image of a patient shows."""
    patients = np.repeat(np.arange(8), 3)
    labels = np.where(patients < 2, 1, 0)
    labels[::3] = 0
    folds = folds_of(patients, labels, 5)
    assert all(len(set(folds[patients == one])) == 1 for one in range(8))
    assert len(set(folds[labels == 1])) == 2
    assert len(set(folds)) == 5


def test_a_class_of_one_group_cannot_be_cross_fitted() -> None:
    """The error says what is needed; a head without the class would lack a column."""
    with pytest.raises(InvalidInputError, match="at least 2 groups"):
        folds_of(np.array([0, 0, 1, 2]), np.array([1, 1, 0, 0]), 2)
