"""The confusion matrix that MLflow shows."""

import io

import numpy as np
import pytest

from pipeline.config.evaluation import EvaluateConfig
from pipeline.records import Record
from pipeline.steps.evaluation.mlflow_evaluation import confusion_figure
from pipeline.steps.evaluation.scoring import score_predictions


@pytest.mark.field("class_with_brackets")
def test_a_class_name_is_no_formula() -> None:
    """A dollar sign begins none, so an unknown command in it is no error."""
    classes = (r"$\unknown{x}$", "a (b, c) $")
    records = [
        Record(sha256=str(n), label=classes[n % 2], file="x", archive="", group=str(n), cell=str(n))
        for n in range(6)
    ]
    scores = score_predictions(
        records, np.eye(2)[np.arange(6) % 2], np.zeros(6), classes, EvaluateConfig(draws=100)
    )
    figure = confusion_figure(scores)
    figure.savefig(io.BytesIO(), format="png")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(classes)
