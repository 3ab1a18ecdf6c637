"""What is said of an image once its probabilities are known: one rule for all who ask."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.contract.spec import ModelContract

Verdict = Literal["accept", "review"]


class Decision(BaseModel):
    """The first class, and whether a person should look."""

    model_config = ConfigDict(frozen=True)

    label: str
    decision: Verdict
    reasons: tuple[str, ...]
    """Why a person should look; empty when accepted."""


def decide(probabilities: Sequence[float], cell_found: bool, contract: ModelContract) -> Decision:
    """Name the first class and say whether it can stand alone.

    Args:
        probabilities: in the contract's order of classes.
        cell_found: whether a stained nucleus was located.
        contract: classes and threshold.
    """
    best = max(range(len(contract.classes)), key=lambda index: probabilities[index])
    reasons = []
    if not cell_found:
        reasons.append("no_cell_found")
    # Written so that a NaN, which is below and above nothing, is no reason for confidence.
    if not probabilities[best] >= contract.accept_confidence:
        reasons.append("low_confidence")
    return Decision(
        label=contract.classes[best],
        decision="review" if reasons else "accept",
        reasons=tuple(reasons),
    )
