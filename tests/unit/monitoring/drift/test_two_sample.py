"""Energy distance and null distribution."""

import numpy as np
from scipy.stats import energy_distance

from monitoring.drift.two_sample import distances, energy, matched_weights, null_weights


def test_energy_is_that_of_scipy_in_one_dimension() -> None:
    """With equal weights the distance equals SciPy's, in standard deviations of the reference."""
    rng = np.random.default_rng(0)
    reference, window = rng.normal(0, 1, 50), rng.normal(1, 2, 30)
    weights = np.concatenate([np.full(50, -1 / 50), np.full(30, 1 / 30)])
    values = np.concatenate([reference, window])[:, None]
    ours = energy(distances(values, 50), weights[None])[0]
    scale = reference.std()
    assert np.isclose(ours, energy_distance(reference / scale, window / scale))


def test_a_constant_column_has_distance_zero() -> None:
    """A constant column is not divided by its standard deviation of zero."""
    values = np.ones((10, 1))
    weights = np.concatenate([np.full(5, -0.2), np.full(5, 0.2)])
    assert energy(distances(values, 5), weights[None])[0] == 0


def test_matched_weights_have_the_class_mix_of_the_window() -> None:
    """The weight of each class is its share in the window."""
    strata = np.array([0, 0, 0, 1])
    weights = matched_weights(strata, {0: 1, 1: 3})
    assert np.isclose(weights[strata == 1].sum(), 0.75)
    assert np.isclose(weights.sum(), 1)


def test_null_draws_never_split_a_group() -> None:
    """Images of one cell are on one side of each draw; the weights of each side sum to 1."""
    groups = np.repeat(np.arange(10), 4)
    strata = groups % 2
    rows = null_weights(strata, groups, {0: 12, 1: 8}, 50, np.random.default_rng(1))
    assert np.allclose(rows.sum(axis=1), 0)
    assert np.allclose(rows.clip(min=0).sum(axis=1), 1)
    for row in rows:
        for group in range(10):
            mine = row[groups == group]
            assert not (mine.max() > 0 and mine.min() < 0)
