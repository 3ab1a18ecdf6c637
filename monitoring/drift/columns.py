"""Compare each column of a window (image statistics, embedding) with its alarm threshold."""

from collections.abc import Sequence

import numpy as np

from monitoring.config import DriftTestConfig
from monitoring.drift.class_mix import StratifiedSamples
from monitoring.drift.result import ColumnDrift
from monitoring.drift.two_sample import Values, distances, energy, matched_weights, null_weights
from pipeline.contract.prediction_log import PredictionRecord

EMBEDDING = "embedding"
_MIN_SPREAD = 1e-3
"""Differences below a thousandth of a standard deviation are rounding, not drift."""


def compare_columns(
    samples: StratifiedSamples,
    statistics: Sequence[str],
    config: DriftTestConfig,
    rng: np.random.Generator,
) -> tuple[tuple[ColumnDrift, ...], float]:
    """Compare every column with its alarm threshold; also returns the family-wise p-value."""
    n_reference, n_window = len(samples.reference), len(samples.window)
    chance = null_weights(samples.strata, samples.groups, samples.quotas, config.draws, rng)
    matched = matched_weights(samples.strata, samples.quotas)
    observed = np.concatenate([-matched, np.full(n_window, 1 / n_window)])
    columns = _columns([*samples.reference, *samples.window], statistics)
    statistic, null = np.empty(len(columns)), np.empty((config.draws, len(columns)))
    for index, values in enumerate(columns.values()):
        between = distances(values, n_reference)
        statistic[index] = energy(between, observed[None])[0]
        null[:, index] = energy(between[:n_reference, :n_reference], chance)
    centre, spread = null.mean(axis=0), np.maximum(null.std(axis=0), _MIN_SPREAD)
    largest = ((null - centre) / spread).max(axis=1)
    thresholds = centre + spread * float(np.quantile(largest, 1 - config.alpha, method="higher"))
    extreme = int((largest >= ((statistic - centre) / spread).max()).sum())
    drifts = tuple(
        ColumnDrift(
            name=name,
            statistic=round(float(statistic[i]), 4),
            null_quantile=round(float(thresholds[i]), 4),
            ratio=round(float(statistic[i] / thresholds[i]), 3),
            **_medians(values, n_reference, matched),
        )
        for i, (name, values) in enumerate(columns.items())
    )
    return drifts, (1 + extreme) / (1 + config.draws)


def _columns(records: Sequence[PredictionRecord], statistics: Sequence[str]) -> dict[str, Values]:
    """Column name to values (images, dimensions); the embedding is one column."""
    columns = {
        name: np.array([[getattr(r.stats, name)] for r in records], float) for name in statistics
    }
    return {**columns, EMBEDDING: np.array([r.embedding for r in records], float)}


def _medians(values: Values, n_reference: int, weights: Values) -> dict[str, float]:
    """Weighted median of the reference and median of the window; empty for the embedding."""
    if values.shape[1] > 1:
        return {}
    order = np.argsort(values[:n_reference, 0])
    middle = min(int(np.searchsorted(np.cumsum(weights[order]), 0.5)), n_reference - 1)
    return {
        "reference_median": float(values[order[middle], 0]),
        "window_median": float(np.median(values[n_reference:, 0])),
    }
