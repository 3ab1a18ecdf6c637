"""Evaluation report: the metrics of a model on the locked test part (`report.json`)."""

from pipeline.artifacts import EngineParity
from pipeline.contract.decision import ReviewRule
from pipeline.records import Frozen
from pipeline.steps.evaluation.mistakes import Mistake
from pipeline.steps.evaluation.scoring import Scores


class EvaluationReport(Frozen):
    """Metrics, parity, review rule and worst mistakes of a model: `report.json`."""

    tag: str
    scores: Scores
    parity: EngineParity
    rule: ReviewRule
    """Limits of confidence and distance up to which a prediction is accepted."""
    mistakes: tuple[Mistake, ...]
