"""Differential count: share of each class among the classified cells, with exact intervals."""

from collections import Counter
from collections.abc import Sequence

from scipy.special import betaincinv  # not scipy.stats, which would slow down the start

from bento_service.http.schemas import (
    ClassCount,
    Classification,
    CountedDifferential,
    Differential,
    DifferentialTotals,
    Failure,
    Share,
)

MIN_CELLS = 100
"""Cells that a routine manual differential counts."""
_ALPHA = 0.05


def differential(
    results: Sequence[Classification | Failure], classes: Sequence[str], tag: str, request_id: str
) -> Differential:
    """The response to many images: shares, totals, warnings and failures.

    Args:
        results: one per image.
        classes: of the contract.
        tag: of the model that classified the images.
        request_id: of the request.
    """
    counts = count_classes([one for one in results if isinstance(one, Classification)], classes)
    failures = tuple(one for one in results if isinstance(one, Failure))
    answered = totals(counts, failed=len(failures))
    return Differential(
        shares=class_shares(counts),
        answered=answered,
        warnings=warnings(answered),
        failures=failures,
        tag=tag,
        request_id=request_id,
    )


def counted_differential(counts: Sequence[ClassCount]) -> CountedDifferential:
    """Shares and warnings for cell counts that the client sends; classifies nothing."""
    return CountedDifferential(shares=class_shares(counts), warnings=warnings(totals(counts)))


def count_classes(
    results: Sequence[Classification], classes: Sequence[str]
) -> tuple[ClassCount, ...]:
    """Cells per class and decision, in the contract's order; includes classes without cells."""
    counts = Counter((one.label, one.decision) for one in results)
    return tuple(
        ClassCount(label=name, accepted=counts[name, "accept"], review=counts[name, "review"])
        for name in classes
    )


def totals(counts: Sequence[ClassCount], *, failed: int = 0) -> DifferentialTotals:
    """Number of classified cells, of those to review, and of failed files."""
    return DifferentialTotals(
        images=sum(one.accepted + one.review for one in counts),
        review=sum(one.review for one in counts),
        failed=failed,
    )


def class_shares(counts: Sequence[ClassCount]) -> tuple[Share, ...]:
    """Count, percentage and exact 95 % interval of each class, in the order of `counts`."""
    total = totals(counts).images
    return tuple(_share(one, total) for one in counts)


def _share(one: ClassCount, total: int) -> Share:
    """Count, percentage and interval of one class; 0 % for a total of 0."""
    count = one.accepted + one.review
    low, high = exact_interval(count, total)
    return Share(
        label=one.label,
        count=count,
        percent=round(100 * count / total, 2) if total else 0.0,
        low=round(100 * low, 2),
        high=round(100 * high, 2),
        review=one.review,
    )


def exact_interval(count: int, total: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper & Pearson, Biometrika 26, 1934).

    Assumes independent cells; does not cover misclassification.
    """
    low = betaincinv(count, total - count + 1, _ALPHA / 2) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - _ALPHA / 2) if count < total else 1.0
    return float(low), float(high)


def warnings(answered: DifferentialTotals) -> tuple[str, ...]:
    """Reasons to distrust the percentages; empty if there are none."""
    messages = []
    if answered.images < MIN_CELLS:
        messages.append(
            f"Fewer than {MIN_CELLS} cells were counted, the minimum of a differential."
        )
    if answered.review:
        messages.append(f"{answered.review} to review.")
    if answered.failed:
        noun, verb = ("file", "is") if answered.failed == 1 else ("files", "are")
        messages.append(f"{answered.failed} {noun} could not be read and {verb} not counted.")
    return tuple(messages)
