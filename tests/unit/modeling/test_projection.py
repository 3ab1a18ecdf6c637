"""Where an image lies among those that were learned from, for drift and for review."""

import numpy as np
import pytest

from pipeline.modeling.projection import Projection

RNG = np.random.default_rng(4)
POOLED = (RNG.normal(size=(60, 10)) @ RNG.normal(size=(10, 10)) + 5).astype(np.float32)
FLAT = np.hstack([POOLED[:, :4], POOLED[:, :4] @ RNG.normal(size=(4, 6))]).astype(np.float32)
"""Vectors of ten values that vary in four directions."""


def test_every_component_has_unit_variance() -> None:
    """No component outweighs another in a distance; all are centred and uncorrelated."""
    components = Projection(POOLED, 6)(POOLED)[:, 1:]
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(components.T), np.eye(5), atol=1e-3)


def test_what_lies_outside_the_components_is_measured_in_its_own_deviations() -> None:
    """A direction outside them weighs what one of them does: five, left over, count as five."""
    outside = Projection(POOLED, 6)(POOLED)[:, 0]
    assert np.mean(outside**2) == pytest.approx(5, rel=0.05)


def test_a_vector_off_what_training_spans_is_far_though_its_components_are_ordinary() -> None:
    """Principal components alone do not see it: that is what the first number is for."""
    projection = Projection(FLAT, 6)
    _, _, axes = np.linalg.svd((FLAT - FLAT.mean(axis=0)) / FLAT.std(axis=0))
    off = FLAT[:1] + 5 * axes[-1] * FLAT.std(axis=0)
    at_home, strange = projection(FLAT[:1]), projection(off.astype(np.float32))
    assert strange[0, 0] > at_home[0, 0] + 10
    np.testing.assert_allclose(strange[0, 1:], at_home[0, 1:], atol=0.1)


@pytest.mark.parametrize("rows", [72, 80, 300])
def test_more_of_the_same_images_change_the_unit_little(rows: int) -> None:
    """A limit that was set on four fifths of the images holds for a projection of all of them."""
    vectors = RNG.normal(size=(rows + 50, 400)).astype(np.float32)
    seen, fresh = vectors[:rows], vectors[rows:]
    most, whole = (Projection(part, 64)(fresh)[:, 0] for part in (seen[: rows * 4 // 5], seen))
    assert np.median(most) == pytest.approx(np.median(whole), rel=0.5)


def test_the_sign_of_a_component_is_stable() -> None:
    """The same cells in another order give the same embeddings: a retraining is no drift."""
    straight, shuffled = Projection(POOLED, 6), Projection(POOLED[RNG.permutation(60)], 6)
    np.testing.assert_allclose(shuffled(POOLED), straight(POOLED), atol=1e-3)
    middle, steps = POOLED.mean(axis=0), np.diag(POOLED.std(axis=0))
    axes = (straight(middle + steps) - straight(middle[None]))[:, 1:]
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(5)] > 0).all()


@pytest.mark.parametrize("rows", [3, 60])
def test_components_that_do_not_exist_are_zero(rows: int) -> None:
    """Fewer images or values than components: the rest carries nothing, and no noise."""
    kept = min(rows - 1, 10)
    embeddings = Projection(POOLED[:rows], 16)(POOLED)
    assert embeddings.shape == (60, 16)
    assert (np.abs(embeddings[:, 1 : 1 + kept]).sum(axis=0) > 0).all()
    assert (embeddings[:, 1 + kept :] == 0).all()


def test_identical_images_have_no_component() -> None:
    """Nothing varies, so nothing is scaled up to unit variance."""
    embeddings = Projection(np.ones((5, 10), np.float32), 4)(np.ones((2, 10), np.float32))
    assert (embeddings == 0).all()


@pytest.mark.parametrize("rows", [3, 60])
def test_keras_projects_alike(rows: int) -> None:
    """The graph that serves has the numbers that the limits of review were set on."""
    projection = Projection(POOLED[:rows], 8)
    answer = projection.model().predict(POOLED, verbose=0)
    np.testing.assert_allclose(answer, projection(POOLED), rtol=1e-3, atol=1e-3)
    assert not projection.model().trainable_variables
