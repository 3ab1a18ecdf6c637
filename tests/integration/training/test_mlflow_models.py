"""Runs and registered models in a real MLflow."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.entities import Run

from bento_service.inference.classifier import Classifier
from pipeline.adapters.tracking.models import CHAMPION, MlflowModels
from pipeline.adapters.tracking.runs import Tracking
from pipeline.artifacts import ServedManifest
from pipeline.entrypoints import chain, evaluation, promotion, served_models, training, verdicts
from pipeline.entrypoints.jobs.job import open_store
from pipeline.entrypoints.training import close_training
from pipeline.errors import ArtifactError
from pipeline.settings import Settings
from tests.integration.training.trained import RUN, Trained, champion_tag, train_all, variables

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DECISION = {"author": "test", "reason": "a test"}

PREDICT = """
import base64, json, pathlib, sys
import mlflow
model = mlflow.pyfunc.load_model("models:/tiny@champion")
paths = sorted(pathlib.Path(sys.argv[1]).iterdir())
images = [path.read_bytes() for path in paths]
rows = model.predict([{"image": data} for data in images]).to_dict("records")
text = [{"image": base64.b64encode(data).decode()} for data in images]
import pandas, pipeline
assert model._model_impl.predict(pandas.DataFrame(text)).to_dict("records") == rows
loaded = sorted({"bento_service", "tensorflow", "keras", "boto3"} & set(sys.modules))
print(json.dumps({"rows": rows, "code": pipeline.__file__, "loaded": loaded}))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mlflow_server: Settings) -> Trained:
    """A first model, tracked by the real MLflow and promoted."""
    where = {"MLFLOW_TRACKING_URI": mlflow_server.mlflow_tracking_uri}
    made = train_all(tmp_path_factory.mktemp("models"), where)
    with variables(made.environment):
        ended = promotion.promote(made.config, RUN, made.verdict, DECISION)
    assert ended.outcome == "promoted"
    return made


@pytest.fixture(scope="module")
def client(trained: Trained) -> mlflow.MlflowClient:
    """MLflow's client of that server."""
    return mlflow.MlflowClient(trained.environment["MLFLOW_TRACKING_URI"])


def run_of(client: mlflow.MlflowClient, pipeline_run: str) -> Run:
    """The newest MLflow run of a pipeline run."""
    run_id = Tracking(str(client.tracking_uri), "tiny").find(pipeline_run)
    return client.get_run(run_id)


def test_the_registered_champion_predicts_like_the_service(
    trained: Trained, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    """Loaded by alias in a process without the checkout: probabilities equal to 1e-6."""
    with zipfile.ZipFile(Path(trained.config).parent / "drawn.zip") as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")][::12]
        (tmp_path / "images").mkdir()
        for number, name in enumerate(names):
            (tmp_path / "images" / f"{number:03}").write_bytes(archive.read(name))
    without_checkout = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, "images"],
        cwd=tmp_path,
        env={**without_checkout, "MLFLOW_TRACKING_URI": str(client.tracking_uri)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout.splitlines()[-1])
    assert output["loaded"] == []
    assert not Path(output["code"]).is_relative_to(Path(__file__).parents[3])
    assert "/code/pipeline/" in output["code"]
    with variables(trained.environment):
        store = open_store()
        files = store.fetch(store.open(trained.served, ServedManifest), tmp_path / "served")
    classifier = Classifier(files)
    assert len(output["rows"]) == len(names) == 8
    for path, row in zip(sorted((tmp_path / "images").iterdir()), output["rows"], strict=True):
        served = classifier.classify(path.read_bytes())
        assert (row["label"], row["decision"]) == (served.label, served.decision)
        assert row["uncertainty"] == pytest.approx(served.uncertainty, abs=1e-6)
        assert row["probabilities"] == pytest.approx(served.probabilities, abs=1e-6)


def test_a_champion_of_an_earlier_version_is_registered_again(
    trained: Trained, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    """The alias moves from a version without a model to one that MLflow can load."""
    with variables(trained.environment):
        store = open_store()
        served = store.open(trained.served, ServedManifest)
        files = store.fetch(served, tmp_path / "served")
    tag, run_id = served.manifest.tag, served.manifest.tracking_run
    client.log_artifacts(run_id, str(files), "served")
    client.create_registered_model("old")
    source = f"{client.get_run(run_id).info.artifact_uri}/served"
    bare = client.create_model_version("old", source, run_id, tags={"tag": tag})
    client.set_registered_model_alias("old", CHAMPION, bare.version)
    models = MlflowModels(str(client.tracking_uri), "old")
    for _ in range(2):
        models.set_champion(run_id, tag, files)
    assert champion_tag(str(client.tracking_uri), "old") == tag
    champion = client.get_model_version_by_alias("old", CHAMPION)
    assert int(champion.version) == int(bare.version) + 1
    mlflow.set_tracking_uri(str(client.tracking_uri))
    assert mlflow.pyfunc.load_model(f"models:/old@{CHAMPION}").metadata.signature is not None


def test_a_training_with_the_same_bundle_has_a_run_of_its_own(
    trained: Trained, client: mlflow.MlflowClient
) -> None:
    """With metrics, verdict and the first run's models; the outcome is `unchanged`."""
    first = run_of(client, RUN)
    with variables(trained.environment):
        again = chain.to_verdict(trained.config, "second-run", trained.split)
        assert again.served == trained.served
        assert verdicts.unchanged(again.verdict)
        assert "challenger is the champion (same bundle)" in verdicts.as_markdown(again.verdict)
        result = promotion.promote("", "second-run", again.verdict, DECISION)
    assert result.outcome == "unchanged"
    second = run_of(client, "second-run")
    assert (first.info.status, second.info.status) == ("FINISHED", "FINISHED")
    assert second.info.run_id != first.info.run_id
    scores = {name: value for name, value in first.data.metrics.items() if "test_" in name}
    assert scores
    assert scores.items() <= second.data.metrics.items()
    assert second.data.tags["gate"] == "unchanged"
    assert second.data.tags["bundle_of_run"] == first.info.run_id
    assert first.outputs is not None
    assert second.inputs is not None
    logged = {model.model_id for model in first.outputs.model_outputs}
    assert {model.model_id for model in second.inputs.model_inputs} <= logged
    version = client.get_model_version_by_alias("tiny", CHAMPION)
    champion = str(version.source).rpartition("/")[2]
    assert (version.run_id, champion in logged) == (first.info.run_id, True)
    assert {metric.key for metric in client.get_logged_model(champion).metrics or ()} >= set(scores)


def test_a_run_on_the_same_archive_is_unchanged(trained: Trained) -> None:
    """`leukoflow run` prints it in the verdict and in the last line; the exit code is 0."""
    archive = str(Path(trained.config).parent / "drawn.zip")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", "--archive", archive, "--config", trained.config],
        env=os.environ | trained.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("**Unchanged**: `tiny:"), done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("unchanged: the challenger is the champion (same bundle); tiny:")
    with variables(trained.environment):
        assert len(served_models.history("tiny")) == 1


def test_a_failure_after_training_fails_the_mlflow_run(
    trained: Trained, client: mlflow.MlflowClient, tmp_path: Path
) -> None:
    """A damaged file in the store fails export or gate; a repetition finishes the run."""
    body = yaml.safe_load(Path(trained.config).read_text())
    body["train"]["penalty"] = 0.4
    config = tmp_path / "other.yaml"
    config.write_text(yaml.safe_dump(body))
    run = (str(config), "broken-run")
    with variables(trained.environment):
        features = [training.featurize(*run, trained.split, n) for n in (0, 1)]
        bundle = training.train(*run, trained.split, features)
        assert run_of(client, "broken-run").info.status == "RUNNING"
        model = Path(bundle) / "model.keras"
        whole = model.read_bytes()
        model.write_bytes(b"damaged")
        with pytest.raises(ArtifactError):
            training.export(*run, bundle, trained.split)
        assert run_of(client, "broken-run").info.status == "FAILED"
        model.write_bytes(whole)
        served = training.export(*run, bundle, trained.split)
        scored = evaluation.evaluate(*run, served, bundle, trained.split)
        assert run_of(client, "broken-run").info.status == "FINISHED"
        report = Path(scored) / "report.json"
        whole = report.read_bytes()
        report.write_bytes(b"damaged")
        with pytest.raises(ArtifactError):
            verdicts.gate(*run, scored, served)
        assert run_of(client, "broken-run").info.status == "FAILED"
        report.write_bytes(whole)
        verdicts.gate(*run, scored, served)
    assert run_of(client, "broken-run").info.status == "FINISHED"


def test_the_mlflow_run_of_a_killed_training_is_ended(
    trained: Trained, client: mlflow.MlflowClient
) -> None:
    """By its repetition, by the last task of its DAG run, and by `repair` after a day."""
    tracking = Tracking(str(client.tracking_uri), "tiny")

    def status(run_id: str) -> str:
        return str(client.get_run(run_id).info.status)

    killed = tracking.start('killed "run"', {}, {})
    again = tracking.start('killed "run"', {}, {})
    assert (status(killed), status(again)) == ("FAILED", "RUNNING")
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    yesterday = int((time.time() - 25 * 3600) * 1000)
    old = client.create_run(experiment.experiment_id, start_time=yesterday).info.run_id
    with variables({**trained.environment, "AIRFLOW_URL": "http://127.0.0.1:9"}):
        assert served_models.repair("tiny") is not None
        assert (status(old), status(again)) == ("FAILED", "RUNNING")
        close_training(trained.config, "dag", 'killed "run"', "failed", "a task was killed")
    assert status(again) == "FAILED"
