"""The evaluation of a model in figures: `report.json`."""

from pipeline.artifacts import Frozen
from pipeline.contract.decision import ReviewRule
from pipeline.steps.mistakes import Mistake
from pipeline.steps.scoring import Scores


class EngineParity(Frozen):
    """How the exported engine compares with Keras on images of the locked part."""

    images: int
    top1_agreement: float
    max_probability_difference: float


class EvaluationReport(Frozen):
    """`report.json` of an evaluation."""

    tag: str
    scores: Scores
    parity: EngineParity
    rule: ReviewRule
    """When an answer is accepted."""
    mistakes: tuple[Mistake, ...]
