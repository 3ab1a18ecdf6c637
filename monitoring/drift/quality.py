"""Quality: whether a window has more images without a cell than the reference."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import betabinom

from monitoring.drift.result import Quality
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord


def compare_quality(
    window: Sequence[PredictionRecord], reference: Sequence[ReferenceRecord], alpha: float
) -> Quality:
    """Test whether a window has more images without a cell than the reference predicts.

    The prediction is beta-binomial with Jeffreys' prior; the reference counts as many trials as it
    has cells, not images.
    """
    without_cell: dict[str, list[bool]] = {}
    for item in reference:
        without_cell.setdefault(item.group, []).append(not item.record.cell_found)
    n_groups = len(without_cell)
    expected = float(sum(np.mean(flags) for flags in without_cell.values()))
    count = sum(not r.cell_found for r in window)
    prediction = betabinom(len(window), expected + 0.5, n_groups - expected + 0.5)
    p_value = float(prediction.sf(count - 1))
    return Quality(
        reference=round(expected / n_groups, 4),
        window=round(count / len(window), 4),
        p_value=p_value,
        alarm=p_value < alpha,
    )
