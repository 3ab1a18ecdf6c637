"""Metrics of classes with unusual names in a real MLflow store."""

from pathlib import Path

import pytest

from pipeline.adapters.tracking.runs import Tracking, client

pytestmark = [pytest.mark.integration]

LABEL = "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)"


@pytest.mark.field("class_with_brackets")
def test_metrics_of_a_class_with_brackets_are_logged(tmp_path: Path) -> None:
    """All metrics of the batch, and the run ends."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracking = Tracking(uri, "cells")
    run_id = tracking.start("a run", {"contract.classes": ["ROUND", LABEL]}, {"tag": "cells:1"})
    metrics = {f"test_sensitivity_{LABEL}": 0.5, f"gate/sensitivity {LABEL} low": 0.4, "loss": 1.0}
    tracking.log_metrics(run_id, metrics)
    tracking.finish(run_id)
    run = client(uri).get_run(run_id)
    assert sorted(run.data.metrics.values()) == [0.4, 0.5, 1.0]
    assert run.info.status == "FINISHED"
