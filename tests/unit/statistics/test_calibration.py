"""Temperature scaling and the expected calibration error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from pipeline.errors import InvalidInputError
from pipeline.statistics.calibration import (
    bin_terms,
    calibration_error,
    calibration_errors,
    calibration_interval,
    fit_temperature,
    reliability,
)
from pipeline.statistics.intervals import Resamples


def drawn(count: int, *, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a model that is overconfident by this factor, and labels drawn without it."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (count, 4))
    labels = np.array([rng.choice(4, p=row) for row in softmax(honest, axis=1)])
    return honest * sharpness, labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_corrects_overconfidence(sharpness: float) -> None:
    """Logits that are too large by a factor are divided by that factor."""
    logits, labels = drawn(20_000, sharpness=sharpness)
    temperature = fit_temperature(logits, labels, np.ones(len(labels)))
    assert temperature == pytest.approx(sharpness, rel=0.05)
    probabilities = softmax(logits / temperature, axis=1)
    assert (
        calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels) < 0.02
    )


def test_the_temperature_is_reproducible() -> None:
    """Equal to the last bit, so that the bundle has the same digest."""
    logits, labels = drawn(500, sharpness=2.0)
    assert len({fit_temperature(logits, labels, np.ones(500)) for _ in range(3)}) == 1


def test_copies_of_a_cell_do_not_move_the_temperature() -> None:
    """A hundred copies with a hundredth of the weight each count as one image."""
    logits, labels = drawn(400, sharpness=2.0)
    times = np.where(np.arange(400) % 7 == 0, 100, 1)
    copied = fit_temperature(
        logits.repeat(times, 0), labels.repeat(times), (1 / times).repeat(times)
    )
    assert copied == pytest.approx(fit_temperature(logits, labels, np.ones(400)), rel=1e-3)


def test_the_temperature_has_a_minimum() -> None:
    """Ten of ten correct predictions do not give an unbounded confidence."""
    logits = np.eye(4)[np.arange(10) % 4] * 3.0
    assert fit_temperature(logits, np.arange(10) % 4, np.ones(10)) >= 0.25


@pytest.mark.parametrize("logits", [np.empty((0, 4)), np.full((3, 4), np.nan)])
def test_logits_that_cannot_be_fitted_are_refused(logits: np.ndarray) -> None:
    """An empty validation part, and a model that gives NaN."""
    with pytest.raises(InvalidInputError, match="cannot fit a temperature"):
        fit_temperature(logits, np.zeros(len(logits), np.int64), np.ones(len(logits)))


def test_perfect_confidence_has_no_calibration_error() -> None:
    """Confidence 1 and all correct, or accuracy equal to confidence."""
    assert calibration_error(np.ones(8), np.ones(8, bool)) == 0
    assert calibration_error(np.full(4, 0.75), np.array([True, True, True, False])) == 0


def test_overconfidence_is_the_gap() -> None:
    """Confidence 0.9 and accuracy 0.5 give 0.4; bins are weighted by their images."""
    right = np.array([True, False] * 5)
    assert calibration_error(np.full(10, 0.9), right) == pytest.approx(0.4)
    both = calibration_error(np.r_[np.full(10, 0.9), np.ones(30)], np.r_[right, np.ones(30, bool)])
    assert both == pytest.approx(0.1)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_calibration_error_is_a_share(predictions: list[tuple[float, bool]]) -> None:
    """Between 0 and 1, also at the edges of bins; the reliability diagram gives the same error."""
    confidence, correct = (np.array(column) for column in zip(*predictions, strict=True))
    error = calibration_error(confidence, correct)
    assert 0 <= error <= 1
    bins = reliability(confidence, correct, np.ones(len(correct)))
    of_bins = sum(b.share * abs(b.confidence - b.accuracy) for b in bins)
    assert sum(b.share for b in bins) == pytest.approx(1)
    assert of_bins == pytest.approx(error)


def test_resampled_errors_are_those_of_weighted_images() -> None:
    """Summing an image's terms twice equals having the image twice."""
    rng = np.random.default_rng(1)
    confidence, correct = rng.random(30), rng.random(30) < 0.5
    times = rng.integers(0, 3, 30).astype(float)
    sums = times @ bin_terms(confidence, correct, np.ones(30))
    assert calibration_errors(sums[None])[0] == pytest.approx(
        calibration_error(confidence, correct, times)
    )


def test_the_upper_bound_allows_for_unobserved_cells() -> None:
    """Sixteen cells of confidence 1, all correct: up to 0.206 of all cells may be wrong."""
    codes = np.arange(64) // 4
    resamples = Resamples(codes, codes % 4, draws=400)
    interval = calibration_interval(np.ones(64), np.ones(64, bool), np.ones(64), resamples)
    assert (interval.value, interval.low) == (0, 0)
    assert interval.high == pytest.approx(0.206, abs=1e-3)
