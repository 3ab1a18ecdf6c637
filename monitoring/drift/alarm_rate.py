"""Alarm rate: share of random windows, drawn from an archive, that raise a drift alarm."""

from collections.abc import Sequence

import numpy as np

from monitoring.config import DriftTestConfig
from monitoring.drift.compare import detect_drift
from monitoring.drift.result import DriftResult
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen


class AlarmRate(Frozen):
    """Result of the windows, the JSON of `leukoflow drift`."""

    alarm_share: float
    """Share of the windows that alarm, 0 to 1."""
    window: int
    """Images per window."""
    draws: int
    """Number of windows."""
    groups: int
    """Source cells of the archive."""
    windows: tuple[DriftResult, ...]

    def examples(self) -> list[str]:
        """One line per verdict except `quiet`: number of windows, and the first one's reasons."""
        lines = []
        for verdict in ("alarm", "not_enough"):
            matching = [result for result in self.windows if result.verdict == verdict]
            if matching:
                lines.append(f"{verdict} in {len(matching)} windows, first: {matching[0].summary}")
        return lines


def draw_windows(
    records: Sequence[ReferenceRecord], n_images: int, n_windows: int, seed: int
) -> list[list[ReferenceRecord]]:
    """Random windows of distinct images each; the same seed draws the same windows.

    Raises:
        InvalidInputError: if there are fewer than `n_images` records.
    """
    if n_images > len(records) or n_images < 1:
        raise InvalidInputError(
            "invalid window size", expected=f"1 to {len(records)} images", received=str(n_images)
        )
    rng = np.random.default_rng(seed)
    drawn = (rng.choice(len(records), n_images, replace=False) for _ in range(n_windows))
    return [[records[i] for i in indices] for indices in drawn]


def measure_alarm_rate(
    records: Sequence[ReferenceRecord],
    reference: Sequence[ReferenceRecord],
    window: int,
    n_windows: int,
    config: DriftTestConfig,
) -> AlarmRate:
    """Draw random windows of `window` images, test each for drift, and count the alarms."""
    windows = draw_windows(records, window, n_windows, config.seed)
    results = [detect_drift([r.record for r in one], reference, config) for one in windows]
    return AlarmRate(
        alarm_share=sum(result.alarm for result in results) / max(len(results), 1),
        window=window,
        draws=n_windows,
        groups=len({r.group for r in records}),
        windows=tuple(results),
    )
