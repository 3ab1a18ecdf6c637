"""The calibrated test: a window of predictions against the held-out reference. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import betabinom

from monitoring.config import DriftTestConfig
from monitoring.drift.result import ClassShare, ColumnDrift, DriftResult, Quality
from monitoring.drift.two_sample import (
    Indices,
    Quotas,
    Values,
    distances,
    energy,
    matched_weights,
    null_weights,
)
from pipeline.contract.image_stats import comparable
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord

EMBEDDING = "embedding"
_LEAST_SPREAD = 1e-3
"""Differences below a thousandth of a standard deviation are rounding, not drift."""


@dataclass(frozen=True)
class _Setting:
    """A window and a reference, ready to be compared: strata are predicted classes."""

    window: Sequence[PredictionRecord]
    reference: Sequence[PredictionRecord]
    strata: Indices
    groups: Indices
    quotas: Quotas


def detect_drift(
    window: Sequence[PredictionRecord],
    reference: Sequence[ReferenceRecord],
    config: DriftTestConfig,
) -> DriftResult:
    """Test a window for drift and for quality, and tell its class mix apart.

    Each column's distance is standardised by the mean and spread of its own null distribution;
    the threshold is the (1 - alpha) quantile of the largest such value over all columns, so alpha
    holds for the family. Reference images are weighted to the window's predicted class mix, so
    that an honest differential is not drift. Quality is tested apart, again at alpha.
    """
    rng = np.random.default_rng(config.seed)
    distinct = list({(r.stats, r.embedding): r for r in window}.values())
    told = DriftResult(
        verdict="not_enough",
        alarm=False,
        reasons=(),
        n=len(window),
        distinct=len(distinct),
        reference_images=len(reference),
        reference_groups=len({r.group for r in reference}),
        alpha=config.alpha,
        draws=config.draws,
        mix=_mix(window, reference),
        mix_distance=_mix_distance(window, reference),
    )
    missing = _not_enough(told, config)
    if missing:
        return told.model_copy(update={"reasons": missing})
    setting, caveats = _match(_thin(distinct, config, rng), _thin_groups(reference, config, rng))
    compared, lacking = comparable(
        [*(r.stats for r in distinct), *(r.record.stats for r in reference)]
    )
    columns, p_value = _compare(setting, compared, config, rng)
    quality = _quality(distinct, reference, config.alpha)
    reasons = _reasons(columns, quality)
    return told.model_copy(
        update={
            "verdict": "alarm" if reasons else "quiet",
            "alarm": bool(reasons),
            "reasons": reasons or ("no column is further off than chance explains",),
            "caveats": (*_repeats(told), *caveats, *_not_compared(lacking), _assumption(told)),
            "p_value": p_value,
            "columns": columns,
            "quality": quality,
        }
    )


def _not_enough(told: DriftResult, config: DriftTestConfig) -> tuple[str, ...]:
    reasons = []
    if told.distinct < config.min_sample:
        reasons.append(
            f"{told.distinct} distinct images of {told.n} predictions, "
            f"at least {config.min_sample} are needed"
        )
    if told.reference_groups < config.min_groups:
        reasons.append(
            f"the reference shows {told.reference_groups} source cells, "
            f"at least {config.min_groups} are needed"
        )
    return tuple(reasons)


def _repeats(told: DriftResult) -> tuple[str, ...]:
    if told.distinct == told.n:
        return ()
    return (f"{told.n - told.distinct} of {told.n} predictions repeat an image and count once",)


def _not_compared(statistics: Sequence[str]) -> tuple[str, ...]:
    if not statistics:
        return ()
    return (f"not compared, since images were logged without them: {', '.join(statistics)}",)


def _assumption(told: DriftResult) -> str:
    """What the log cannot tell: how many cells a window shows (see two_sample)."""
    return (
        f"calibrated for windows of {-(-told.reference_groups // 3)} different cells or more; "
        "fewer can alarm by themselves"
    )


def _thin(
    records: list[PredictionRecord], config: DriftTestConfig, rng: np.random.Generator
) -> list[PredictionRecord]:
    if len(records) <= config.max_images:
        return records
    return [records[i] for i in rng.choice(len(records), config.max_images, replace=False)]


def _thin_groups(
    reference: Sequence[ReferenceRecord], config: DriftTestConfig, rng: np.random.Generator
) -> list[ReferenceRecord]:
    """The same share of every group's images: fewer copies of a cell, not fewer cells."""
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


def _match(
    window: list[PredictionRecord], reference: list[ReferenceRecord]
) -> tuple[_Setting, tuple[str, ...]]:
    """Stratify by predicted class where at least two reference cells carry it."""
    seen: dict[str, set[str]] = {}
    for item in reference:
        seen.setdefault(item.record.label, set()).add(item.group)
    labels = {label for label, groups in seen.items() if len(groups) > 1}
    kept = [r for r in window if r.label in labels]
    if len(kept) * 2 < len(window):
        return _setting(window, reference, stratify=False), (
            "most of the window is called by classes that the reference hardly shows: "
            "compared without matching the class mix",
        )
    missed = len(window) - len(kept)
    caveats = (f"{missed} images of classes the reference hardly shows are left out",)
    matched = [item for item in reference if item.record.label in labels]
    return _setting(kept, matched, stratify=True), caveats if missed else ()


def _setting(
    window: list[PredictionRecord], reference: list[ReferenceRecord], *, stratify: bool
) -> _Setting:
    names = sorted({item.record.label for item in reference}) if stratify else [""]
    code = {name: index for index, name in enumerate(names)}
    strata = [code[r.record.label] if stratify else 0 for r in reference]
    quotas: dict[int, int] = {}
    for r in window:
        stratum = code[r.label] if stratify else 0
        quotas[stratum] = quotas.get(stratum, 0) + 1
    groups = np.unique([item.group for item in reference], return_inverse=True)[1]
    records = [item.record for item in reference]
    return _Setting(window, records, np.array(strata, dtype=np.intp), groups, quotas)


def _compare(
    setting: _Setting,
    statistics: Sequence[str],
    config: DriftTestConfig,
    rng: np.random.Generator,
) -> tuple[tuple[ColumnDrift, ...], float]:
    """Every column against the family-wise threshold, and the p-value of the worst."""
    size = len(setting.reference)
    chance = null_weights(setting.strata, setting.groups, setting.quotas, config.draws, rng)
    matched = matched_weights(setting.strata, setting.quotas)
    here = np.concatenate([-matched, np.full(len(setting.window), 1 / len(setting.window))])
    blocks = _blocks([*setting.reference, *setting.window], statistics)
    statistic, null = np.empty(len(blocks)), np.empty((config.draws, len(blocks)))
    for index, values in enumerate(blocks.values()):
        between = distances(values, size)
        statistic[index] = energy(between, here[None])[0]
        null[:, index] = energy(between[:size, :size], chance)
    centre, spread = null.mean(axis=0), np.maximum(null.std(axis=0), _LEAST_SPREAD)
    worst = ((null - centre) / spread).max(axis=1)
    limits = centre + spread * float(np.quantile(worst, 1 - config.alpha, method="higher"))
    extreme = int((worst >= ((statistic - centre) / spread).max()).sum())
    columns = tuple(
        ColumnDrift(
            name=name,
            statistic=round(float(statistic[i]), 4),
            null_quantile=round(float(limits[i]), 4),
            ratio=round(float(statistic[i] / limits[i]), 3),
            **_medians(values, size, matched),
        )
        for i, (name, values) in enumerate(blocks.items())
    )
    return columns, (1 + extreme) / (1 + config.draws)


def _blocks(records: Sequence[PredictionRecord], statistics: Sequence[str]) -> dict[str, Values]:
    """Column to values (images, dimensions)."""
    blocks = {
        name: np.array([[getattr(r.stats, name)] for r in records], float) for name in statistics
    }
    return {**blocks, EMBEDDING: np.array([r.embedding for r in records], float)}


def _medians(values: Values, size: int, weights: Values) -> dict[str, float]:
    if values.shape[1] > 1:
        return {}
    order = np.argsort(values[:size, 0])
    middle = min(int(np.searchsorted(np.cumsum(weights[order]), 0.5)), size - 1)
    return {
        "reference_median": float(values[order[middle], 0]),
        "window_median": float(np.median(values[size:, 0])),
    }


def _quality(
    window: Sequence[PredictionRecord], reference: Sequence[ReferenceRecord], alpha: float
) -> Quality:
    """Share of images without a cell, against the beta-binomial prediction from the reference.

    The prior is Jeffreys'; the reference counts as many trials as it has cells, not images.
    """
    shares: dict[str, list[bool]] = {}
    for item in reference:
        shares.setdefault(item.group, []).append(not item.record.cell_found)
    empty = float(sum(np.mean(flags) for flags in shares.values()))
    count = sum(not r.cell_found for r in window)
    prediction = betabinom(len(window), empty + 0.5, len(shares) - empty + 0.5)
    p_value = float(prediction.sf(count - 1))
    return Quality(
        reference=round(empty / len(shares), 4),
        window=round(count / len(window), 4),
        p_value=p_value,
        alarm=p_value < alpha,
    )


def _reasons(columns: Sequence[ColumnDrift], quality: Quality) -> tuple[str, ...]:
    drifted = sorted((c for c in columns if c.ratio > 1), key=lambda c: -c.ratio)
    reasons = [f"{c.name} is {c.ratio:.1f} times as far off as chance explains" for c in drifted]
    if quality.alarm:
        reasons.append(
            f"no cell found in {quality.window:.0%} of images, {quality.reference:.0%} in reference"
        )
    return tuple(reasons)


def _shares(labels: Sequence[str]) -> dict[str, float]:
    return {label: labels.count(label) / len(labels) for label in set(labels)}


def _mix(
    window: Sequence[PredictionRecord], reference: Sequence[ReferenceRecord]
) -> tuple[ClassShare, ...]:
    live, known = _shares([r.label for r in window]), _shares([r.record.label for r in reference])
    return tuple(
        ClassShare(label=label, reference=known.get(label, 0.0), window=live.get(label, 0.0))
        for label in sorted({*live, *known})
    )


def _mix_distance(
    window: Sequence[PredictionRecord], reference: Sequence[ReferenceRecord]
) -> float:
    if not window or not reference:
        return 0.0
    return round(sum(abs(c.window - c.reference) for c in _mix(window, reference)) / 2, 4)
