"""Alarm rate: the share of windows, drawn from a scored archive, that alarm."""

from collections.abc import Sequence

import numpy as np

from monitoring.config import DriftTestConfig
from monitoring.drift.detector import detect_drift
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.errors import InvalidInputError


def draw_windows(
    records: Sequence[ReferenceRecord], n: int, draws: int, seed: int
) -> list[list[ReferenceRecord]]:
    """`draws` windows of `n` distinct images each; the same seed draws the same windows.

    Raises:
        InvalidInputError: if there are fewer than `n` records.
    """
    if n > len(records) or n < 1:
        raise InvalidInputError(
            "invalid window size", expected=f"1 to {len(records)} images", received=str(n)
        )
    rng = np.random.default_rng(seed)
    drawn = (rng.choice(len(records), n, replace=False) for _ in range(draws))
    return [[records[i] for i in indices] for indices in drawn]


def measure_alarm_rate(
    records: Sequence[ReferenceRecord],
    reference: Sequence[ReferenceRecord],
    window: int,
    draws: int,
    config: DriftTestConfig,
) -> dict[str, object]:
    """The JSON of `leukoflow drift`: `alarm_share`, then the result of each window."""
    windows = draw_windows(records, window, draws, config.seed)
    results = [detect_drift([r.record for r in one], reference, config) for one in windows]
    n_alarms = sum(result.alarm for result in results)
    return {
        "alarm_share": n_alarms / len(results) if results else 0.0,
        "window": window,
        "draws": draws,
        "groups": len({r.group for r in records}),
        "windows": [result.model_dump(mode="json") for result in results],
    }
