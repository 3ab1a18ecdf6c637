"""The decision on an image, accept or review: one rule for the service and the evaluation."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.contract.model_contract import ModelContract
from pipeline.errors import ArtifactError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REVIEW = "review.json"
ReviewDecision = Literal["accept", "review"]
ReasonCode = Literal["no_cell_found", "low_confidence", "far_from_training"]
_NO_CELL_UNCERTAINTY = 2.0
_MAX_UNCERTAINTY = 100.0
"""Upper bound of `uncertainty`, also for NaN: it stays sortable and valid JSON."""


class ReviewRule(BaseModel):
    """Limits for accepting a prediction, fitted on held-out cells; `review.json` of a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_confidence: float = Field(ge=0, lt=1)
    """Smallest accepted probability of the predicted class."""
    max_distance: float = Field(gt=0)
    """Largest accepted distance of the embedding to `centre`, in standard deviations."""
    centre: tuple[float, ...]
    """Mean embedding of the training images (embedding_size,)."""

    def distance(self, embedding: "Sequence[float] | NDArray[np.float32]") -> float:
        """Euclidean distance of an embedding (embedding_size,) to the training images' mean."""
        return math.dist([float(value) for value in embedding], self.centre)


class Decision(BaseModel):
    """The predicted class, and whether a person should review the image."""

    model_config = ConfigDict(frozen=True)

    label: str
    decision: ReviewDecision
    reasons: tuple[ReasonCode, ...]
    """Reasons for a review; empty if accepted."""
    uncertainty: float
    """Largest ratio of a measure to its review limit, 0 to 100; above 1 the decision is review."""


def decide(
    probabilities: Sequence[float],
    embedding: "Sequence[float] | NDArray[np.float32]",
    cell_found: bool,
    contract: ModelContract,
    rule: ReviewRule,
) -> Decision:
    """The most probable class of an image, and whether it is accepted or needs a review.

    The largest ratio counts, not the sum: a model is often confident about images unlike its
    training data, so confidence must not make up for distance.

    Args:
        probabilities: calibrated, in the contract's order of classes.
        embedding: (embedding_size,).
        cell_found: whether a stained nucleus was located.
        contract: names of the classes.
        rule: the review rule of the same bundle.
    """
    best = max(range(len(contract.classes)), key=lambda index: probabilities[index])
    ratios: dict[ReasonCode, float] = {
        "no_cell_found": 0.0 if cell_found else _NO_CELL_UNCERTAINTY,
        "low_confidence": _bounded((1 - probabilities[best]) / (1 - rule.min_confidence)),
        "far_from_training": _bounded((rule.distance(embedding) / rule.max_distance) ** 2),
    }
    reasons = tuple(code for code, ratio in ratios.items() if ratio > 1)
    return Decision(
        label=contract.classes[best],
        decision="review" if reasons else "accept",
        reasons=reasons,
        uncertainty=max(ratios.values()),
    )


def write_review(folder: Path, rule: ReviewRule) -> None:
    """Write the rule to `folder/review.json`."""
    body = json.dumps(rule.model_dump(mode="json"), indent=2, sort_keys=True)
    (folder / REVIEW).write_text(body + "\n")


def read_review(folder: Path, contract: ModelContract) -> ReviewRule:
    """Read `folder/review.json`; ArtifactError if missing, invalid or of another embedding size."""
    path = folder / REVIEW
    if not path.is_file():
        raise ArtifactError("the bundle has no review rule", expected=REVIEW, received="no file")
    try:
        rule = ReviewRule.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ArtifactError(f"{path} is not valid: {error}", expected="a review rule") from error
    if len(rule.centre) != contract.embedding_size:
        raise ArtifactError(
            "the review rule is for another embedding",
            expected=f"{contract.embedding_size} numbers",
            received=str(len(rule.centre)),
        )
    return rule


def _bounded(ratio: float) -> float:
    """The ratio, at most 100; 100 for NaN, which a broken model returns."""
    return _MAX_UNCERTAINTY if math.isnan(ratio) else min(ratio, _MAX_UNCERTAINTY)
