"""Calibration: temperature scaling, reliability diagram and expected calibration error (ECE)."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from pipeline.errors import InvalidInputError
from pipeline.statistics.groups import Bools, Floats, Ints
from pipeline.statistics.intervals import Interval, Resamples, percentile_interval

BINS = 10
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.25, 10.0
"""Bounds of the search: few held-out cells can all be correct by chance."""


class Bin(BaseModel):
    """One bin of the reliability diagram."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    share: float
    """Share of the weight in the bin, 0 to 1."""
    confidence: float
    """Mean confidence in the bin; its middle if it is empty."""
    accuracy: float


def fit_temperature(logits: Floats, labels: Ints, weights: Floats) -> float:
    """The temperature of the largest likelihood on held-out images (Guo et al., ICML 2017).

    Dividing logits by it does not change the predicted class. The negative log-likelihood is convex
    in 1 / temperature, so that a bounded search finds the minimum, and always the same one.

    Args:
        logits: of held-out images (n, classes), before the softmax.
        labels: true classes (n,).
        weights: of the images (n,), 1 over the number of images of its cell.

    Returns:
        Between 0.25 and 10; above 1 if the network is overconfident.

    Raises:
        InvalidInputError: without images, without weight, or if a logit is not finite.
    """
    logits = np.asarray(logits, np.float64)
    if not len(logits) or not np.isfinite(logits).all() or not weights.sum() > 0:
        raise InvalidInputError(
            "cannot fit a temperature",
            expected="finite logits of held-out images with weight",
            received=f"shape {logits.shape}",
        )
    share = np.asarray(weights, np.float64) / weights.sum()
    of_label = logits[np.arange(len(labels)), labels]

    def loss(scale: float) -> float:
        return float(share @ (logsumexp(logits * scale, axis=1) - of_label * scale))

    bounds = (1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE)
    return float(1 / minimize_scalar(loss, bounds=bounds, method="bounded").x)


def reliability(confidence: Floats, correct: Bools, weights: Floats) -> tuple[Bin, ...]:
    """Mean confidence and accuracy in ten bins of confidence, for the reliability diagram.

    Not scikit-learn's `calibration_curve`, which takes no weights.
    """
    bins = _bin_indexes(confidence)
    weight, confident, right = (
        np.bincount(bins, weights=values, minlength=BINS)
        for values in (weights, weights * confidence, weights * correct)
    )
    edges = np.linspace(0, 1, BINS + 1)
    return tuple(
        Bin(
            low=round(float(edges[i]), 6),
            high=round(float(edges[i + 1]), 6),
            share=float(weight[i] / weight.sum()),
            confidence=float(confident[i] / weight[i] if weight[i] else edges[i : i + 2].mean()),
            accuracy=float(right[i] / weight[i]) if weight[i] else 0.0,
        )
        for i in range(BINS)
    )


def calibration_error(confidence: Floats, correct: Bools, weights: Floats | None = None) -> float:
    """Expected calibration error over ten bins of equal width (Naeini et al., AAAI 2015).

    Args:
        confidence: probability of the predicted class (n,).
        correct: whether that class is the true one (n,).
        weights: of the images (n,), equal by default.
    """
    weights = np.ones(len(confidence)) if weights is None else weights
    return float(calibration_errors(bin_terms(confidence, correct, weights).sum(axis=0)[None])[0])


def bin_terms(confidence: Floats, correct: Bools, weights: Floats) -> Floats:
    """Weighted confidence minus correctness, and weight, in the columns of a bin (n, 2 * bins).

    `calibration_errors` takes their sums over images, which makes resampling a matrix product.
    """
    rows, bins = np.arange(len(confidence)), _bin_indexes(confidence)
    terms = np.zeros((len(confidence), 2 * BINS))
    terms[rows, bins] = weights * (confidence - correct)
    terms[rows, BINS + bins] = weights
    return terms


def calibration_errors(sums: Floats) -> Floats:
    """Calibration error (draws,) of each row of summed `bin_terms` (draws, 2 * bins)."""
    return np.asarray(np.abs(sums[:, :BINS]).sum(axis=1) / sums[:, BINS:].sum(axis=1))


def calibration_interval(
    confidence: Floats, correct: Bools, weights: Floats, resamples: Resamples
) -> Interval:
    """Expected calibration error with its interval over cells.

    The upper bound allows for an unobserved cell with confidence 1 and a wrong prediction. The
    lower one is the percentile bootstrap's: absolute gaps are biased upwards, so that it is a rule
    for the gate and no confidence bound (docs/decisions/0017).

    Args:
        confidence: probability of the predicted class (n,).
        correct: whether that class is the true one (n,).
        weights: of the images (n,).
        resamples: of the same images.
    """
    terms = bin_terms(confidence, correct, weights)
    (value,) = calibration_errors(terms.sum(axis=0)[None])
    samples = calibration_errors(resamples.sums(terms))
    cells = resamples.effective_size(weights[:, None])
    _, (high,) = resamples.bounds(np.array([value]), samples[:, None], cells)
    low = percentile_interval(value, samples).low
    return Interval(value=float(value), low=low, high=float(high))


def _bin_indexes(confidence: Floats) -> Ints:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
