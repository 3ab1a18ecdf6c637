"""The embedding: principal components and the norm of their residual."""

import numpy as np
import pytest

from pipeline.modeling.embedding import Projection

RNG = np.random.default_rng(4)
POOLED = (RNG.normal(size=(60, 10)) @ RNG.normal(size=(10, 10)) + 5).astype(np.float32)
FLAT = np.hstack([POOLED[:, :4], POOLED[:, :4] @ RNG.normal(size=(4, 6))]).astype(np.float32)
"""Vectors of ten values and rank 4."""


def test_every_component_has_unit_variance() -> None:
    """All have equal weight in a distance, and are centred and uncorrelated."""
    components = Projection(POOLED, 6)(POOLED)[:, 1:]
    np.testing.assert_allclose(components.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(components.T), np.eye(5), atol=1e-3)


def test_the_residual_is_in_its_own_standard_deviations() -> None:
    """Each residual direction has unit variance: five of them have a mean square of 5."""
    outside = Projection(POOLED, 6)(POOLED)[:, 0]
    assert np.mean(outside**2) == pytest.approx(5, rel=0.05)


def test_the_residual_shows_a_vector_outside_the_span_of_training() -> None:
    """Its principal components are ordinary; only the first number shows it."""
    projection = Projection(FLAT, 6)
    _, _, axes = np.linalg.svd((FLAT - FLAT.mean(axis=0)) / FLAT.std(axis=0))
    off = FLAT[:1] + 5 * axes[-1] * FLAT.std(axis=0)
    inside, outside = projection(FLAT[:1]), projection(off.astype(np.float32))
    assert outside[0, 0] > inside[0, 0] + 10
    np.testing.assert_allclose(outside[0, 1:], inside[0, 1:], atol=0.1)


@pytest.mark.parametrize("rows", [72, 80, 300])
def test_the_residual_hardly_depends_on_the_number_of_images(rows: int) -> None:
    """A limit from four fifths of the images (cross-fitting) holds for all of them."""
    vectors = RNG.normal(size=(rows + 50, 400)).astype(np.float32)
    fitted, fresh = vectors[:rows], vectors[rows:]
    most, all_ = (Projection(part, 64)(fresh)[:, 0] for part in (fitted[: rows * 4 // 5], fitted))
    assert np.median(most) == pytest.approx(np.median(all_), rel=0.5)


def test_the_sign_of_a_component_is_stable() -> None:
    """Another order of the images gives the same embeddings, so that retraining is not drift."""
    straight, shuffled = Projection(POOLED, 6), Projection(POOLED[RNG.permutation(60)], 6)
    np.testing.assert_allclose(shuffled(POOLED), straight(POOLED), atol=1e-3)
    middle, steps = POOLED.mean(axis=0), np.diag(POOLED.std(axis=0))
    axes = (straight(middle + steps) - straight(middle[None]))[:, 1:]
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(5)] > 0).all()


@pytest.mark.parametrize("rows", [3, 60])
def test_missing_components_are_zero(rows: int) -> None:
    """With fewer images or values than components the rest are 0, not noise."""
    kept = min(rows - 1, 10)
    embeddings = Projection(POOLED[:rows], 16)(POOLED)
    assert embeddings.shape == (60, 16)
    assert (np.abs(embeddings[:, 1 : 1 + kept]).sum(axis=0) > 0).all()
    assert (embeddings[:, 1 + kept :] == 0).all()


def test_identical_images_have_no_component() -> None:
    """Without variance nothing is scaled up."""
    embeddings = Projection(np.ones((5, 10), np.float32), 4)(np.ones((2, 10), np.float32))
    assert (embeddings == 0).all()


@pytest.mark.parametrize("rows", [3, 60])
def test_the_keras_model_gives_the_same_embeddings(rows: int) -> None:
    """The review limits are fitted to those of NumPy, and serving uses Keras's graph."""
    projection = Projection(POOLED[:rows], 8)
    embeddings = projection.to_keras().predict(POOLED, verbose=0)
    np.testing.assert_allclose(embeddings, projection(POOLED), rtol=1e-3, atol=1e-3)
    assert not projection.to_keras().trainable_variables
