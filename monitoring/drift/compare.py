"""The drift test: compare a window of predictions with the reference. Pure, without I/O."""

from collections.abc import Sequence

import numpy as np

from monitoring.config import DriftTestConfig
from monitoring.drift import messages
from monitoring.drift.class_mix import class_mix, match_class_mix, mix_distance
from monitoring.drift.columns import compare_columns
from monitoring.drift.quality import compare_quality
from monitoring.drift.result import DriftResult
from pipeline.contract.image_stats import common_statistics
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord


def detect_drift(
    window: Sequence[PredictionRecord],
    reference: Sequence[ReferenceRecord],
    config: DriftTestConfig,
) -> DriftResult:
    """Test whether a window drifts from the reference in any column, or in quality.

    Each column's distance is standardised by the mean and spread of its own null distribution;
    the threshold is the (1 - alpha) quantile of the largest such value over all columns, so alpha
    is the family-wise error rate. Reference images are weighted to the window's predicted class
    mix: a different class mix is not drift. Quality is tested separately, again at alpha.
    """
    rng = np.random.default_rng(config.seed)
    distinct = list({(r.stats, r.embedding): r for r in window}.values())
    result = _untested(window, len(distinct), reference, config)
    too_few = messages.too_few(result, config)
    if too_few:
        return result.model_copy(update={"reasons": too_few})
    live, known = _subsample(distinct, config, rng), _subsample_groups(reference, config, rng)
    samples, unmatched = match_class_mix(live, known)
    statistics, missing = common_statistics(
        [*(r.stats for r in distinct), *(r.record.stats for r in reference)]
    )
    columns, p_value = compare_columns(samples, statistics, config, rng)
    quality = compare_quality(distinct, reference, config.alpha)
    alarms = messages.alarms(columns, quality)
    return result.model_copy(
        update={
            "verdict": "alarm" if alarms else "quiet",
            "alarm": bool(alarms),
            "reasons": alarms or (messages.NO_DRIFT,),
            "caveats": messages.caveats(result, unmatched, missing),
            "p_value": p_value,
            "columns": columns,
            "quality": quality,
        }
    )


def _untested(
    window: Sequence[PredictionRecord],
    distinct: int,
    reference: Sequence[ReferenceRecord],
    config: DriftTestConfig,
) -> DriftResult:
    """Result before any test: sizes and class mix, with verdict `not_enough`."""
    mix = class_mix([r.label for r in window], [r.record.label for r in reference])
    return DriftResult(
        verdict="not_enough",
        alarm=False,
        reasons=(),
        n=len(window),
        distinct=distinct,
        reference_images=len(reference),
        reference_groups=len({r.group for r in reference}),
        alpha=config.alpha,
        draws=config.draws,
        mix=mix,
        mix_distance=mix_distance(mix) if window and reference else 0.0,
    )


def _subsample(
    records: list[PredictionRecord], config: DriftTestConfig, rng: np.random.Generator
) -> list[PredictionRecord]:
    """All records, or a random `max_images` of them."""
    if len(records) <= config.max_images:
        return records
    return [records[i] for i in rng.choice(len(records), config.max_images, replace=False)]


def _subsample_groups(
    reference: Sequence[ReferenceRecord], config: DriftTestConfig, rng: np.random.Generator
) -> list[ReferenceRecord]:
    """All records, or the same random share, at least one record, of every group."""
    if len(reference) <= config.max_images:
        return list(reference)
    by_group: dict[str, list[ReferenceRecord]] = {}
    for record in reference:
        by_group.setdefault(record.group, []).append(record)
    share = config.max_images / len(reference)
    return [
        members[i]
        for members in by_group.values()
        for i in rng.choice(len(members), max(1, int(share * len(members))), replace=False)
    ]
