"""Making probabilities mean what they say, and measuring whether they do."""

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from pipeline.errors import InvalidInputError
from pipeline.statistics.intervals import Resamples, percentile_interval
from pipeline.statistics.metrics import Bools, Floats, Interval, Ints

BINS = 10
LOWEST, HIGHEST = 0.25, 10.0
"""Few held-out cells can be all right by luck: no temperature may make certainty of that."""


class Bin(BaseModel):
    """One bar of the reliability diagram."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    share: float
    """Of the weight; 0 to 1."""
    confidence: float
    """Mean in the bin; the middle of the bin when it is empty."""
    accuracy: float


def fit_temperature(logits: Floats, labels: Ints, weights: Floats) -> float:
    """The temperature that makes held-out answers most likely (Guo et al., ICML 2017).

    Dividing the logits by it changes no first class. The weighted likelihood has one maximum in
    1 / temperature, so a bounded search finds it, the same each time.

    Args:
        logits: of held-out images (n, classes), before the softmax.
        labels: true classes (n,).
        weights: evidence of each image (n,), one over the images of its cell.

    Returns:
        Between 0.25 and 10; above 1 where the network was too sure.

    Raises:
        InvalidInputError: when there is nothing to fit on, or a logit is no number.
    """
    logits = np.asarray(logits, np.float64)
    if not len(logits) or not np.isfinite(logits).all() or not weights.sum() > 0:
        raise InvalidInputError(
            "no temperature can be fitted",
            expected="finite logits of held-out images, with weight",
            received=f"shape {logits.shape}",
        )
    share = np.asarray(weights, np.float64) / weights.sum()
    right = logits[np.arange(len(labels)), labels]

    def surprise(sharpness: float) -> float:
        return float(share @ (logsumexp(logits * sharpness, axis=1) - right * sharpness))

    found = minimize_scalar(surprise, bounds=(1 / HIGHEST, 1 / LOWEST), method="bounded")
    return float(1 / found.x)


def reliability(confidence: Floats, correct: Bools, weights: Floats) -> tuple[Bin, ...]:
    """Confidence against accuracy in ten bins of equal width; arguments as below."""
    which = _bins(confidence)
    weight, sure, right = (
        np.bincount(which, weights=values, minlength=BINS)
        for values in (weights, weights * confidence, weights * correct)
    )
    edges = np.linspace(0, 1, BINS + 1)
    return tuple(
        Bin(
            low=round(float(edges[i]), 6),
            high=round(float(edges[i + 1]), 6),
            share=float(weight[i] / weight.sum()),
            confidence=float(sure[i] / weight[i] if weight[i] else edges[i : i + 2].mean()),
            accuracy=float(right[i] / weight[i]) if weight[i] else 0.0,
        )
        for i in range(BINS)
    )


def calibration_error(confidence: Floats, correct: Bools, weights: Floats | None = None) -> float:
    """Expected calibration error over ten bins of equal width (Naeini et al., AAAI 2015).

    Args:
        confidence: probability of the first class (n,).
        correct: whether that class is right (n,).
        weights: of the images (n,), all alike when not given.
    """
    weights = np.ones(len(confidence)) if weights is None else weights
    return float(calibration_errors(gaps(confidence, correct, weights).sum(axis=0)[None])[0])


def gaps(confidence: Floats, correct: Bools, weights: Floats) -> Floats:
    """What `calibration_errors` needs summed over images, for each of them (n, 2 * bins)."""
    rows, which = np.arange(len(confidence)), _bins(confidence)
    out = np.zeros((len(confidence), 2 * BINS))
    out[rows, which] = weights * (confidence - correct)
    out[rows, BINS + which] = weights
    return out


def calibration_errors(sums: Floats) -> Floats:
    """Calibration error of each row of summed `gaps` (draws, 2 * bins): (draws,)."""
    return np.asarray(np.abs(sums[:, :BINS]).sum(axis=1) / sums[:, BINS:].sum(axis=1))


def calibration_interval(
    confidence: Floats, correct: Bools, weights: Floats, resamples: Resamples
) -> Interval:
    """Expected calibration error with its interval over cells.

    The high end admits an unseen cell that is as wrong as it is sure. The low end is the
    bootstrap's percentile: absolute gaps only add up, so that a calibrated model measures more than
    its true error and the low end is a rule for refusals, not a bound (docs/decisions/0017).

    Args:
        confidence: probability of the first class (n,).
        correct: whether that class is right (n,).
        weights: of the images (n,).
        resamples: of the same images.
    """
    sums = gaps(confidence, correct, weights)
    (value,) = calibration_errors(sums.sum(axis=0)[None])
    drawn = calibration_errors(resamples.sums(sums))
    cells = resamples.effective(weights[:, None])
    _, (high,) = resamples.ends(np.array([value]), drawn[:, None], cells)
    return Interval(value=float(value), low=percentile_interval(value, drawn).low, high=float(high))


def _bins(confidence: Floats) -> Ints:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
