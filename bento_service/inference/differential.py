"""A differential: how often each class of cell was answered, and how sure that share is."""

from collections import Counter
from collections.abc import Sequence

from scipy.special import betaincinv

from bento_service.http.schemas import Answered, Classification, Differential, Failure, Share
from pipeline.contract.decision import Verdict

FEWEST = 100
"""Cells that a routine manual differential counts."""
_ALPHA = 0.05


def count(
    told: Sequence[Classification | Failure],
    classes: Sequence[str],
    tag: str,
    request_id: str,
) -> Differential:
    """The differential of one request's images.

    Args:
        told: what was said of each.
        classes: of the contract.
        tag: of the model that answered.
        request_id: of the request.
    """
    answers = [(one.label, one.decision) for one in told if isinstance(one, Classification)]
    failures = tuple(one for one in told if isinstance(one, Failure))
    review = sum(decision == "review" for _, decision in answers)
    answered = Answered(images=len(answers), review=review, failed=len(failures))
    return Differential(
        shares=shares(answers, classes),
        answered=answered,
        warnings=warnings(answered),
        failures=failures,
        tag=tag,
        request_id=request_id,
    )


def shares(answers: Sequence[tuple[str, Verdict]], classes: Sequence[str]) -> tuple[Share, ...]:
    """Count and percentage of each class, in the contract's order.

    Args:
        answers: label and decision of each image.
        classes: of the contract; those that nobody answered count 0.
    """
    counts = Counter(label for label, _ in answers)
    to_review = Counter(label for label, decision in answers if decision == "review")
    total = len(answers)
    return tuple(
        Share(
            label=name,
            count=counts[name],
            percent=round(100 * counts[name] / total, 2) if total else 0.0,
            low=round(100 * interval(counts[name], total)[0], 2),
            high=round(100 * interval(counts[name], total)[1], 2),
            review=to_review[name],
        )
        for name in classes
    )


def interval(count: int, total: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper & Pearson, Biometrika 26, 1934).

    It holds for independent cells; it knows nothing of the model's mistakes.
    """
    low = betaincinv(count, total - count + 1, _ALPHA / 2) if count else 0.0
    high = betaincinv(count + 1, total - count, 1 - _ALPHA / 2) if count < total else 1.0
    return float(low), float(high)


def warnings(answered: Answered) -> tuple[str, ...]:
    """What a reader must know before believing the percentages."""
    said = []
    if answered.images < FEWEST:
        said.append(
            f"Only {answered.images} cells were counted; a differential counts {FEWEST} or more."
        )
    if answered.review:
        said.append(f"{answered.review} of the answers should be looked at by a person.")
    if answered.failed:
        said.append(f"{answered.failed} files could not be read and are not counted.")
    return tuple(said)
