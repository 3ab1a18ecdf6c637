"""Class mix: shares of predicted classes, and stratification of window and reference by class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from monitoring.drift.result import ClassShare
from monitoring.drift.two_sample import Indices, Quotas
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord


@dataclass(frozen=True)
class StratifiedSamples:
    """A window and a reference, stratified by predicted class."""

    window: Sequence[PredictionRecord]
    reference: Sequence[PredictionRecord]
    strata: Indices
    """Stratum of each reference image."""
    groups: Indices
    """Source cell of each reference image."""
    quotas: Quotas


def class_mix(window: Sequence[str], reference: Sequence[str]) -> tuple[ClassShare, ...]:
    """Share of each predicted class in window and reference, in alphabetical order."""
    live, known = Counter(window), Counter(reference)
    return tuple(
        ClassShare(
            label=label,
            reference=known[label] / max(len(reference), 1),
            window=live[label] / max(len(window), 1),
        )
        for label in sorted({*live, *known})
    )


def mix_distance(mix: Sequence[ClassShare]) -> float:
    """Total variation distance between the two mixes, 0 to 1."""
    return round(sum(abs(share.window - share.reference) for share in mix) / 2, 4)


def match_class_mix(
    window: list[PredictionRecord], reference: list[ReferenceRecord]
) -> tuple[StratifiedSamples, tuple[str, ...]]:
    """Stratify both samples by predicted class; also returns caveats about classes left out.

    Images of other classes are left out; if they are most of the window, nothing is stratified.
    """
    cells: dict[str, set[str]] = {}
    for item in reference:
        cells.setdefault(item.record.label, set()).add(item.group)
    labels = {label for label, groups in cells.items() if len(groups) > 1}
    matched = [r for r in window if r.label in labels]
    if len(matched) * 2 < len(window):
        return _stratify(window, reference, []), (
            "compared without matching the class mix: most images of the window are predicted as "
            "classes with fewer than 2 reference groups",
        )
    unmatched = len(window) - len(matched)
    caveat = f"not tested: {unmatched} images of classes with fewer than 2 reference groups"
    known = [item for item in reference if item.record.label in labels]
    return _stratify(matched, known, sorted(labels)), (caveat,) if unmatched else ()


def _stratify(
    window: list[PredictionRecord], reference: list[ReferenceRecord], labels: list[str]
) -> StratifiedSamples:
    """Stratify by these labels; without labels, put all images into one stratum."""
    code = {label: index for index, label in enumerate(labels)}
    strata = [code.get(item.record.label, 0) for item in reference]
    return StratifiedSamples(
        window=window,
        reference=[item.record for item in reference],
        strata=np.array(strata, dtype=np.intp),
        groups=np.unique([item.group for item in reference], return_inverse=True)[1],
        quotas=Counter(code.get(record.label, 0) for record in window),
    )
