"""A training from archive to pointer through the entry points, with a real MLflow."""

import json
from pathlib import Path

import pytest
import yaml

from pipeline.adapters.tracking.runs import Tracking
from pipeline.artifacts import EvaluationManifest, ServedManifest, SplitManifest, VerdictManifest
from pipeline.config.crossval import CrossvalConfig
from pipeline.entrypoints import (
    evaluation,
    experiments,
    promotion,
    served_models,
    training,
    verdicts,
)
from pipeline.entrypoints.jobs.job import open_store
from pipeline.errors import ArtifactError, InvalidInputError, UnreachableError
from pipeline.settings import Settings
from pipeline.steps.promotion.verdict import read_verdict
from tests.integration.training.trained import RUN, Trained, champion_tag, retrain, variables

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DECISION = {"author": "test", "reason": "a test"}


def test_the_gate_passes_a_first_model(tracked: Trained) -> None:
    """The verdict lists every check."""
    with variables(tracked.environment):
        assert verdicts.passed(tracked.verdict)
        table = verdicts.as_markdown(tracked.verdict)
    checks = ("copies across", "cells to judge on", "first model", "balanced accuracy")
    assert all(word in table for word in (*checks, "calibration", "parity", "serves", "size"))


def test_the_verdict_is_in_mlflow(tracked: Trained) -> None:
    """Tags, metrics, the table as the run's description, and the page."""
    import mlflow

    with variables(tracked.environment):
        run_id = open_store().open(tracked.served, ServedManifest).manifest.tracking_run
    client = mlflow.MlflowClient(tracked.environment["MLFLOW_TRACKING_URI"])
    data = client.get_run(run_id).data
    assert data.tags["gate"] == "passed"
    assert data.tags["gate.verdict"] == tracked.verdict
    assert "first model" in data.tags["mlflow.note.content"]
    assert data.metrics["gate/failed"] == 0
    assert data.metrics["gate/size"] > 0
    paths = {item.path for item in client.list_artifacts(run_id, "verdict")}
    assert {"verdict/verdict.html", "verdict/verdict.json"} <= paths


def test_a_challenger_is_compared_with_the_champion(tracked: Trained, tmp_path: Path) -> None:
    """A model with trained blocks is compared with a linear head, class by class."""
    body = yaml.safe_load(Path(tracked.config).read_text())
    body["features"] = {"keep": "maps", "boundary": "block4_pool"}
    body["train"] |= {"epochs": 3, "steps": 5}
    body["gate"] |= {"max_loss": 1.0, "max_class_loss": 1.0}
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump(body))
    with variables(tracked.environment):
        promotion.promote(tracked.config, RUN, tracked.verdict, DECISION)
        other = retrain(tracked, str(config))
        store = open_store()
        verdict = read_verdict(store.open(other, VerdictManifest), store)
    compared = [check for check in verdict.checks if check.topic == "champion"]
    names = [check.name.split()[0] for check in compared]
    assert names == ["same", "balanced", *["sensitivity"] * 4]
    assert all(check.low is not None and check.low <= check.value for check in compared[1:])
    assert verdict.evidence is not None
    assert min(verdict.evidence.fair.values()) >= 2


def test_a_champion_with_another_preprocessing_is_compared_by_its_recorded_predictions(
    tracked: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade of the preprocessing this code cannot run the champion."""
    body = yaml.safe_load(Path(tracked.config).read_text())
    body["contract"]["preprocessing_version"] = "next"
    body["gate"] |= {"max_loss": 1.0, "max_class_loss": 1.0}
    config = tmp_path / "next.yaml"
    config.write_text(yaml.safe_dump(body))
    archive = Path(tracked.config).parent / "drawn.zip"
    with variables(tracked.environment):
        promotion.promote(tracked.config, RUN, tracked.verdict, DECISION)
        monkeypatch.setattr("pipeline.contract.model_contract.PREPROCESSING_VERSION", "next")
        other = retrain(tracked, str(config))
        store = open_store()
        verdict = read_verdict(store.open(other, VerdictManifest), store)
        with pytest.raises(
            ArtifactError, match="another preprocessing version; expected next; received 2"
        ):
            evaluation.evaluate_archive(str(archive), "tiny", "champion")
    names = {check.name: check for check in verdict.checks if check.topic == "champion"}
    overall = names["balanced accuracy against the champion"]
    # Only the version differs here, so the predictions are equal.
    assert overall.value == 0


def test_the_run_is_in_mlflow(tracked: Trained) -> None:
    """With parameters, training curve, metrics, figures and models."""
    import mlflow

    with variables(tracked.environment):
        store = open_store()
        run_id = store.open(tracked.served, ServedManifest).manifest.tracking_run
    client = mlflow.MlflowClient(tracked.environment["MLFLOW_TRACKING_URI"])
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["train.penalty"] == "0.3"
    assert len(client.get_metric_history(run_id, "val_loss")) == 1
    assert 0 <= run.data.metrics["test_balanced_accuracy"] <= 1
    assert run.inputs is not None
    assert run.inputs.dataset_inputs[0].dataset.name == "tiny"
    paths = {item.path for item in client.list_artifacts(run_id)}
    assert {"confusion_matrix.png", "confusion_matrix.json", "environment.txt"} <= paths
    assert run.outputs is not None
    logged = [client.get_logged_model(model.model_id).name for model in run.outputs.model_outputs]
    assert sorted(logged) == ["model", "served"]


def test_the_same_archive_trains_the_same_bundle(tracked: Trained) -> None:
    """A second training of the same split gives the same digest."""
    with variables(tracked.environment):
        features = [training.featurize(tracked.config, RUN, tracked.split, n) for n in (0, 1)]
        again = training.train(tracked.config, RUN, tracked.split, features)
    assert again == tracked.bundle


def test_a_recipe_is_cross_validated(tracked: Trained) -> None:
    """Each cell outside the test part is predicted by a model that was not trained on it."""
    archive = Path(tracked.config).parent / "drawn.zip"
    with variables(tracked.environment):
        plan = CrossvalConfig(folds=3)
        report = experiments.crossval(tracked.config, RUN, plan, [str(archive)])
        counts = open_store().open(tracked.split, SplitManifest).manifest.counts
    assert report.scores.cells == counts["train_groups"] + counts["val_groups"]
    assert "balanced accuracy, cells" in report.table()
    assert report.cells_learned == pytest.approx(report.scores.cells * 2 / 3, abs=1)
    assert report.unknown is None


def test_cross_validation_without_a_class_measures_its_novelty(tracked: Trained) -> None:
    """Every fold's model predicts the images of that class."""
    archive = str(Path(tracked.config).parent / "drawn.zip")
    plan = CrossvalConfig(folds=3, unknown="LYMPHOCYTE")
    with variables(tracked.environment):
        report = experiments.crossval(tracked.config, RUN, plan, [archive])
        absent = CrossvalConfig(folds=3, unknown="BASOPHIL")
        with pytest.raises(InvalidInputError, match="one of EOSINOPHIL, LYMPHOCYTE"):
            experiments.crossval(tracked.config, RUN, absent, [archive])
    assert set(report.scores.sensitivity) == {"EOSINOPHIL", "MONOCYTE", "NEUTROPHIL"}
    assert report.unknown is not None
    assert report.unknown.auroc is not None
    assert report.unknown.images % 3 == 0
    assert 0 < report.unknown.auroc.value <= 1
    assert "AUROC of uncertainty, LYMPHOCYTE" in report.table()


def test_promotion_moves_the_pointer_once(tracked: Trained) -> None:
    """A second promotion moves nothing; MLflow's alias follows the pointer."""
    with variables(tracked.environment):
        for _ in range(2):
            result = promotion.promote(tracked.config, RUN, tracked.verdict, DECISION)
            assert (result.outcome, result.served) == ("promoted", tracked.served)
        moves = served_models.history("tiny")
        tag = open_store().open(tracked.served, ServedManifest).manifest.tag
    assert [move.tag for move in moves] == [tag]
    assert champion_tag(tracked.environment["MLFLOW_TRACKING_URI"], "tiny") == tag


def test_an_archive_is_scored_by_the_champion(tracked: Trained, tmp_path: Path) -> None:
    """`evaluate` scores any labelled archive with the serving model."""
    archive = Path(tracked.config).parent / "drawn.zip"
    with variables(tracked.environment):
        promotion.promote(tracked.config, RUN, tracked.verdict, DECISION)
        report, table, _ = evaluation.evaluate_archive(str(archive), "tiny", "champion")
    assert report["images"] == len(table.splitlines()) - 1 == 96


def test_the_evaluation_has_the_drift_reference(tracked: Trained) -> None:
    """One line per image of the test part, with its group."""
    with variables(tracked.environment):
        store = open_store()
        evaluation = store.open(tracked.evaluation, EvaluationManifest)
        lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    assert len(lines) == evaluation.manifest.counts["images"]
    assert len({json.loads(line)["group"] for line in lines}) == evaluation.manifest.counts["cells"]


def test_an_unreachable_tracking_server_is_an_error_within_seconds() -> None:
    """Without minutes of retries."""
    tracking = Tracking("http://127.0.0.1:9", "nowhere")
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9"):
        tracking.start("run", {}, {})


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, mlflow_server: Settings) -> Trained:
    """A training tracked by the real MLflow."""
    from tests.integration.training.trained import train_all

    where = {"MLFLOW_TRACKING_URI": mlflow_server.mlflow_tracking_uri}
    return train_all(tmp_path_factory.mktemp("tracked"), where)
