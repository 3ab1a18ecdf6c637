"""Many windows drawn from one scored archive: how often would monitoring alarm on it?"""

from collections.abc import Sequence

import numpy as np

from monitoring.config import DriftTestConfig
from monitoring.drift.detector import detect_drift
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.errors import InvalidInputError


def draw_windows(
    records: Sequence[ReferenceRecord], n: int, draws: int, seed: int
) -> list[list[ReferenceRecord]]:
    """`draws` windows of `n` different images each, drawn alike for the same seed.

    Raises:
        InvalidInputError: when there are fewer than `n` records.
    """
    if n > len(records) or n < 1:
        raise InvalidInputError(
            "a window cannot be drawn", expected=f"1 to {len(records)} images", received=str(n)
        )
    rng = np.random.default_rng(seed)
    picks = (rng.choice(len(records), n, replace=False) for _ in range(draws))
    return [[records[i] for i in pick] for pick in picks]


def measure_alarm_rate(
    records: Sequence[ReferenceRecord],
    reference: Sequence[ReferenceRecord],
    window: int,
    draws: int,
    config: DriftTestConfig,
) -> dict[str, object]:
    """`drift.json` of the command line: `alarm_share`, then each window's verdict."""
    drawn = draw_windows(records, window, draws, config.seed)
    verdicts = [detect_drift([r.record for r in one], reference, config) for one in drawn]
    alarms = sum(verdict.alarm for verdict in verdicts)
    return {
        "alarm_share": alarms / len(verdicts) if verdicts else 0.0,
        "window": window,
        "draws": draws,
        "groups": len({r.group for r in records}),
        "windows": [verdict.model_dump(mode="json") for verdict in verdicts],
    }
