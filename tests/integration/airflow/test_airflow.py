"""Runs of the real DAGs on a real Airflow, started by archives, by API and by the web form."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitoring.retraining.retrain_requests import RetrainRequestStore
from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.airflow_session import AirflowSession
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import EvaluationManifest
from pipeline.dag_ids import DEPLOYMENT, INGESTION, MONITORING, TRAINING
from pipeline.embedded.environment import stack_variables
from pipeline.embedded.parts import ROOT
from pipeline.embedded.processes.temporary_parts import running
from pipeline.errors import InvalidInputError
from pipeline.sample.archive import write_archive
from pipeline.settings import Settings
from tests.integration.waiting import until
from tests.unit.monitoring.fake_predictions import TAG, FakePredictions

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, prepare_airflow: Callable[[Path], Settings]
) -> Iterator[Settings]:
    """Settings of a running api-server, scheduler and DAG processor with a local store."""
    own = prepare_airflow(tmp_path_factory.mktemp("airflow"))
    with running(own, "airflow-api", "airflow-scheduler", "airflow-dags"):
        yield own


@pytest.fixture(scope="module")
def airflow(settings: Settings) -> AirflowClient:
    """A client, once Airflow has parsed all DAGs."""
    client = AirflowClient(settings)
    for dag_id in (TRAINING, INGESTION, MONITORING, DEPLOYMENT):
        client.wait_for_dag(dag_id, 120)
    return client


@pytest.fixture(scope="module")
def logged(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Function that logs fifty predictions of a model; `demo` and `second` are promoted."""
    store, predictions = ArtifactStore(LocalStore(), settings.store_uri), FakePredictions(seed=3)
    folder, now = tmp_path_factory.mktemp("evaluation"), datetime.now(UTC)
    lines = [item.model_dump_json() + "\n" for item in predictions.draw(40, 4)]
    (folder / "reference.jsonl").write_text("".join(lines))
    for name in ("demo", "second"):
        evaluation = store.publish(
            folder,
            EvaluationManifest(name=name, run_id="r", code_version="c", created_at=now, tag=TAG),
        )
        pointer = Pointer(
            sequence=0, name=name, tag=TAG, served="s", evaluation=evaluation.uri, verdict="v",
            author="a", reason="r", time=now - timedelta(hours=1),
        )  # fmt: skip
        PointerStore(store.objects, store.root, name).move(pointer, None)

    def log_predictions(segment: str, shift: float, name: str = "demo") -> None:
        now = datetime.now(UTC)
        images = predictions.draw(50, 1, shift=shift)
        records = [item.record.model_copy(update={"time": now}) for item in images]
        body = "".join(record.model_dump_json() + "\n" for record in records)
        uri = f"{store.root}/logs/{name}/{now:%Y-%m-%d}/{segment}.jsonl"
        store.objects.write(uri, body.encode())

    return log_predictions


def _finished(airflow: AirflowClient, run: DagRun) -> DagRun:
    until(lambda: airflow.run(run.dag_id, run.run_id).finished)
    return airflow.run(run.dag_id, run.run_id)


def _states(airflow: AirflowClient, run: DagRun) -> dict[str, str]:
    return {task.task_id: task.state for task in airflow.tasks(run.dag_id, run.run_id)}


def _archive_runs(airflow: AirflowClient) -> list[DagRun]:
    return [run for run in airflow.runs(TRAINING) if run.run_id.startswith("archives__")]


def _ingest(airflow: AirflowClient) -> None:
    assert _finished(airflow, airflow.trigger(INGESTION, {})).state == "success"


def _python(settings: Settings, code: str) -> str:
    """Output of Python code that runs in the environment of this Airflow."""
    variables = stack_variables(settings, os.environ)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "PYTHONPATH": f"{variables['AIRFLOW__CORE__DAGS_FOLDER']}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_scheduled_run_without_archives_is_skipped(
    airflow: AirflowClient, settings: Settings
) -> None:
    """The schedule skips where the served model has no archives; a manual run fails."""
    assert not list(LocalStore().list(f"{settings.store_uri}/archives/{settings.model_name}/"))
    _python(
        settings,
        "from airflow.api.common.trigger_dag import trigger_dag\n"
        "from airflow.utils.types import DagRunTriggeredByType, DagRunType\n"
        f"trigger_dag('{TRAINING}', run_id='scheduled__test', run_type=DagRunType.SCHEDULED,"
        " triggered_by=DagRunTriggeredByType.TIMETABLE)",
    )
    run = _finished(airflow, airflow.run(TRAINING, "scheduled__test"))
    states = _states(airflow, run)
    assert run.state == "success"
    assert states.pop("ingest") == "success"
    assert set(states.values()) == {"skipped"}
    ingest = next(t for t in airflow.tasks(TRAINING, run.run_id) if t.task_id == "ingest")
    log = airflow.log(TRAINING, run.run_id, ingest, lines=100)
    assert "archives/blood_cells/ is empty: there is nothing to train on" in log
    assert _finished(airflow, airflow.trigger(TRAINING, {})).state == "failed"


def test_archives_can_be_only_checked(
    airflow: AirflowClient, settings: Settings, tmp_path: Path
) -> None:
    """The note says whether they would train; nothing is stored and all other tasks are skipped."""
    (tmp_path / "broken.zip").write_bytes(b"PK")
    write_archive(tmp_path / "cells.zip", seed=3, cells_per_class=8, copies=1)
    expected = {"broken.zip": "would not train: broken.zip", "cells.zip": "would train"}
    for name, verdict in expected.items():
        conf = {"archives": [str(tmp_path / name)], "only_check": True}
        run = _finished(airflow, airflow.trigger(TRAINING, conf | {"config": "configs/demo.yaml"}))
        states = _states(airflow, run)
        assert (run.state, states.pop("ingest")) == ("success", "success")
        assert set(states.values()) == {"skipped"}
        note = AirflowSession(settings).get(f"/dags/{TRAINING}/dagRuns/{run.run_id}")["note"]
        assert note.startswith(f"only checked: these archives {verdict}")
    assert not list(LocalStore().list(f"{settings.store_uri}/snapshot/"))


def test_an_archive_starts_exactly_one_run(airflow: AirflowClient, settings: Settings) -> None:
    """An unchanged archive starts no run, a replaced or restored one does; a bad one fails."""
    archive = Path(settings.store_uri) / "archives" / "blood_cells" / "cells.zip"
    archive.parent.mkdir(parents=True)
    for content, runs in ((b"first", 1), (b"first", 1), (b"second", 2), (b"first", 3)):
        archive.write_bytes(content)
        _ingest(airflow)
        assert len(_archive_runs(airflow)) == runs
    failed = _finished(airflow, _archive_runs(airflow)[-1])
    assert failed.state == "failed"
    ingest = next(t for t in airflow.tasks(TRAINING, failed.run_id) if t.task_id == "ingest")
    assert ingest.try_number == 1, "a bad archive is not retried"
    log = airflow.log(TRAINING, failed.run_id, ingest)
    assert any(line.startswith("InvalidInputError: ") and "cells.zip" in line for line in log), log
    assert _states(airflow, failed)["promote"] == "upstream_failed"


@pytest.mark.field("broken_zip")
def test_a_broken_archive_among_good_ones_is_skipped(
    airflow: AirflowClient, settings: Settings, cell_image: Callable[..., bytes]
) -> None:
    """A run without archives in its form reads the others, and its note has the reason."""
    folder = Path(settings.store_uri) / "archives" / "blood_cells"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "broken.zip").write_bytes(b"broken")
    with zipfile.ZipFile(folder / "good.zip", "w") as good:
        good.writestr("NEUTROPHIL/1.jpeg", cell_image(0))
    run = _finished(airflow, airflow.trigger(TRAINING, {}))
    states = _states(airflow, run)
    assert (states["ingest"], states["validate"]) == ("success", "failed"), "one image is too few"
    path = f"/dags/{TRAINING}/dagRuns/{run.run_id}"
    note = str(AirflowSession(settings).get(path)["note"])
    assert note.startswith("failed: ")
    assert "Skipped archives: broken.zip: broken.zip cannot be opened" in note
    named = airflow.trigger(TRAINING, {"archives": [str(folder / "broken.zip")]})
    assert _states(airflow, _finished(airflow, named))["ingest"] == "failed"


def test_monitoring_is_skipped_without_a_promoted_model(airflow: AirflowClient) -> None:
    """A new installation has no failed run every hour."""
    run = _finished(airflow, airflow.trigger(MONITORING, {}))
    assert run.state == "success"
    assert set(_states(airflow, run).values()) == {"skipped"}


def test_a_cancelled_run_is_a_failed_run(airflow: AirflowClient) -> None:
    """Airflow alone would mark it successful, because its remaining tasks are skipped."""
    run = airflow.trigger(TRAINING, {"config": "configs/demo.yaml"})
    airflow.cancel(TRAINING, run.run_id)
    assert _finished(airflow, run).state == "failed"
    assert _states(airflow, run)["promote"] in ("skipped", "upstream_failed")


def test_an_invalid_form_field_is_rejected(airflow: AirflowClient) -> None:
    """The API validates the form: no run starts from a config outside configs/."""
    with pytest.raises(InvalidInputError, match="config"):
        airflow.trigger(TRAINING, {"config": "../secrets.yaml"})
    with pytest.raises(InvalidInputError, match="limit"):
        airflow.trigger(TRAINING, {"limit": -1})


def test_a_run_under_dag_test_succeeds(
    airflow: AirflowClient, settings: Settings, logged: Callable[..., None]
) -> None:
    """The monitoring DAG in one process, on a window without drift: a report, no retraining."""
    logged("quiet", shift=0)
    # The DAG is paused, or the scheduler would start some of the run's tasks as well.
    code = (
        "import blood_cell_monitoring as dags\n"
        "from airflow.models.dag import DagModel\n"
        "from airflow.utils.session import create_session\n"
        "with create_session() as session:\n"
        f"    session.get(DagModel, {MONITORING!r}).is_paused = True\n"
        "run = dags.blood_cell_monitoring().test(run_conf={'name': 'demo'})\n"
        "states = {task.task_id: str(task.state) for task in run.get_task_instances()}\n"
        "print(str(run.state), states['publish'], states['request_retrain'])"
    )
    try:
        assert _python(settings, code).splitlines()[-1:] == ["success success skipped"]
    finally:
        airflow.unpause(MONITORING)


def test_each_request_starts_one_training_run_that_closes_it(
    airflow: AirflowClient, settings: Settings, logged: Callable[..., None]
) -> None:
    """Requests of two models at once; without archives, each run fails and closes its request."""
    monitoring = {}
    for name in ("demo", "second"):
        logged("shifted", shift=25, name=name)
        monitoring[name] = airflow.trigger(MONITORING, {"name": name})
    for name, run in monitoring.items():
        assert _states(airflow, _finished(airflow, run))["request_retrain"] == "success"
        (training,) = [
            r for r in airflow.runs(TRAINING) if r.run_id.startswith(f"retrain__{name}__")
        ]
        assert training.conf["config"] == f"configs/{name}.yaml"
        assert "x the alarm threshold" in training.conf["reason"]
        assert _finished(airflow, training).state == "failed"
        request = RetrainRequestStore(LocalStore(), settings.store_uri, name).last()
        assert request is not None
        assert request.outcome.startswith(f"failed ({training.run_id})")


@pytest.mark.chromium
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="chromedriver is not installed")
def test_the_form_starts_a_run(airflow: AirflowClient, settings: Settings) -> None:
    """A reason entered in the web form is in the configuration of the run."""
    before = {run.run_id for run in airflow.runs(TRAINING)}
    _submit_form(settings, "element_reason", "entered by hand")
    until(lambda: {run.run_id for run in airflow.runs(TRAINING)} - before)
    started = next(run for run in airflow.runs(TRAINING) if run.run_id not in before)
    assert started.run_id.startswith("manual__")
    assert started.conf["reason"] == "entered by hand"


def _submit_form(settings: Settings, field: str, text: str) -> None:
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--no-proxy-server", "--window-size=1400,1100"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as page:
        wait = WebDriverWait(page, 60)

        def element(by: str, value: str) -> webdriver.remote.webelement.WebElement:
            return wait.until(lambda driver: driver.find_element(by, value))

        page.get(f"{settings.airflow_url}/auth/login/")
        element(By.NAME, "username").send_keys(settings.airflow_user)
        element(By.NAME, "password").send_keys(settings.airflow_password.get_secret_value())
        element(By.CSS_SELECTOR, "button[type=submit]").click()
        wait.until(lambda driver: "/auth/login" not in driver.current_url)
        page.get(f"{settings.airflow_url}/dags/{TRAINING}")
        element(By.XPATH, "//button[normalize-space()='Trigger']").click()
        element(By.NAME, field).send_keys(text)
        element(By.CSS_SELECTOR, "[data-testid=trigger-dag-submit]").click()
        wait.until(lambda driver: not driver.find_elements(By.CSS_SELECTOR, "[role=dialog] input"))
