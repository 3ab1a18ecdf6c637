"""Alarm rate: the share of windows, drawn from a scored archive, that alarm."""

from collections.abc import Sequence

import numpy as np

from monitoring.config import DriftTestConfig
from monitoring.drift.detector import detect_drift
from monitoring.drift.result import DriftResult
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


class AlarmRate(Frozen):
    """The JSON of `leukoflow drift`."""

    alarm_share: float
    """Share of the windows that alarm, 0 to 1."""
    window: int
    """Images per window."""
    draws: int
    groups: int
    """Source cells of the archive."""
    windows: tuple[DriftResult, ...]

    def examples(self) -> list[str]:
        """The number of windows that alarm or are not tested, each with the first summary."""
        lines = []
        for verdict in ("alarm", "not_enough"):
            matching = [result for result in self.windows if result.verdict == verdict]
            if matching:
                lines.append(f"{verdict} in {len(matching)} windows, first: {matching[0].summary}")
        return lines


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
) -> AlarmRate:
    """Draw windows of `window` images and test each."""
    windows = draw_windows(records, window, draws, config.seed)
    results = [detect_drift([r.record for r in one], reference, config) for one in windows]
    return AlarmRate(
        alarm_share=sum(result.alarm for result in results) / max(len(results), 1),
        window=window,
        draws=draws,
        groups=len({r.group for r in records}),
        windows=tuple(results),
    )
