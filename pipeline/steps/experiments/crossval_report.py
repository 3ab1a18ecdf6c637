"""Cross-validation report: metrics of a config, as JSON and as a table for the terminal."""

from pipeline.config.crossval import CrossvalConfig
from pipeline.records import Frozen
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.experiments.novelty import Novelty


class CrossvalReport(Frozen):
    """Result of a cross-validation, the JSON of `leukoflow crossval --out`."""

    plan: CrossvalConfig
    cells_learned: float
    """Mean number of cells that a fold's model was fitted to or calibrated on."""
    temperatures: tuple[float, ...]
    """Calibration temperature of each fold's model."""
    scores: Scores
    """Metrics of each cell's predictions by the model that was not trained on it."""
    unknown: Novelty | None
    """Novelty of the images of the unknown class, predicted by every fold's model."""

    def table(self) -> str:
        """A summary line, and one line per metric with its 95 % interval."""
        scores = self.scores
        rows = {
            "balanced accuracy, images": scores.balanced_accuracy,
            "balanced accuracy, cells": scores.by_cell.balanced_accuracy,
            **{f"sensitivity to {name}": value for name, value in scores.sensitivity.items()},
            "calibration error": scores.calibration_error,
            "accuracy at 80 % coverage": scores.review.accuracy_at_80,
        }
        if self.unknown is not None and self.unknown.auroc is not None:
            rows[f"AUROC of uncertainty, {self.plan.unknown}"] = self.unknown.auroc
        lines = [f"{k:<30}{v.value:6.3f} ({v.low:.3f} to {v.high:.3f})" for k, v in rows.items()]
        return "\n".join([self._summary(), *lines])

    def _summary(self) -> str:
        scores = self.scores
        summary = (
            f"{self.plan.folds} folds, {scores.images} images of {scores.cells} cells, "
            f"models trained on {self.cells_learned:.0f} cells"
        )
        if self.unknown is None or self.unknown.review_share is None:
            return summary
        return (
            f"{summary}; sent to review: {self.unknown.review_share:.0%} of the unknown class "
            f"{self.plan.unknown}, {1 - scores.review.accepted.value:.0%} of the other classes"
        )
