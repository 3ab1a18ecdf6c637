"""A trained model before a person: the approval of the training DAG on a real Airflow."""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from monitoring.retraining.policy import RetrainDecision, RetrainRequest
from monitoring.retraining.retrain_requests import RetrainRequests
from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.artifacts import ServedManifest
from pipeline.embedded import airflow_home, preflight
from pipeline.embedded.environment import stack_variables
from pipeline.embedded.parts import ROOT
from pipeline.embedded.processes.foreground import on_free_ports, running
from pipeline.entrypoints import registry, verdicts
from pipeline.entrypoints.jobs.job import open_store
from pipeline.settings import Settings
from tests.integration.training.trained import Trained, train_all, variables
from tests.unit.steps.promotion.promotion_harness import PromotionHarness

pytestmark = [pytest.mark.integration, pytest.mark.slow]

DAGS = '''
"""The decision of `blood_cell_training` alone, on a verdict from the form."""

from datetime import timedelta

from _assets import MODEL_PROMOTED
from airflow.sdk import Param, dag, task
from _promotion_tasks import close_request, decide


@task
def ingest(**context):
    context["ti"].xcom_push("config", context["params"]["config"])
    return context["params"]["verdict"]


def decision(dag_id, response_timeout):
    fields = {"config": "", "verdict": "", "reason": "weekly", "require_approval": True}

    @dag(dag_id=dag_id, schedule=None, params={k: Param(v) for k, v in fields.items()})
    def build():
        end = close_request().as_teardown(on_failure_fail_dagrun=True)
        decide(ingest(), response_timeout) >> end

    return build()


@dag(schedule=[MODEL_PROMOTED])
def deployment():
    @task
    def shipped(**context):
        return context["triggering_asset_events"][MODEL_PROMOTED][-1].extra["served"]

    shipped()


deployment()


patient = decision("patient", timedelta(days=1))
hasty = decision("hasty", timedelta(seconds=1))
'''


@dataclass(frozen=True)
class Office:
    """An Airflow that asks about one trained model, and whoever answers."""

    settings: Settings
    model: Trained
    airflow: AirflowClient

    def ask(self, dag_id: str, **fields: Any) -> DagRun:
        """Start a run that needs a person's word, unless the fields say otherwise."""
        form = {"config": self.model.config, "verdict": self.model.verdict, **fields}
        return self.airflow.trigger(dag_id, form)

    def request(self, run: DagRun) -> dict[str, Any]:
        """What the person is shown, once the task waits for them."""
        until(lambda: self.states(run).get("approve") == "awaiting_input")
        # Airflow 3.3 fails a task that is answered before its scheduler has noted the pause.
        time.sleep(5)
        return dict(self._send("GET", f"{self._approval(run)}/hitlDetails").json())

    def answer(self, run: DagRun, option: str, note: str) -> None:
        """Say yes or no, and why."""
        body = {"chosen_options": [option], "params_input": {"note": note}}
        self._send("PATCH", f"{self._approval(run)}/hitlDetails", json=body)

    def ask_again(self, run: DagRun) -> None:
        """Clear the approval and all after it."""
        body = {"dag_run_id": run.run_id, "task_ids": ["approve"], "include_downstream": True}
        body |= {"dry_run": False, "only_failed": False}
        self._send("POST", f"/dags/{run.dag_id}/clearTaskInstances", json=body)

    def end(self, run: DagRun) -> dict[str, str]:
        """States of the tasks of a run that ended well."""
        until(lambda: self.airflow.run(run.dag_id, run.run_id).finished)
        assert self.airflow.run(run.dag_id, run.run_id).state == "success"
        return self.states(run)

    def note(self, run: DagRun) -> str:
        """What the page of a run says."""
        return str(self._send("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}").json()["note"])

    def promotion(self, run: DagRun) -> dict[str, str]:
        """How `promote` ended, as its XCom."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/promote/xcomEntries"
        return dict(self._send("GET", f"{path}/promotion").json()["value"])

    def deployed(self) -> list[Any]:
        """What was shipped, the newest first."""
        runs = self.airflow.runs("deployment")
        until(lambda: all(self.airflow.run(r.dag_id, r.run_id).finished for r in runs))
        return [self.airflow.returned("deployment", r.run_id, "shipped") for r in runs]

    def states(self, run: DagRun) -> dict[str, str]:
        """State of each task by its id."""
        return {task.task_id: task.state for task in self.airflow.tasks(run.dag_id, run.run_id)}

    def _approval(self, run: DagRun) -> str:
        return f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/approve/-1"

    def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        url, secret = self.settings.airflow_url, self.settings.airflow_password
        login = {"username": self.settings.airflow_user, "password": secret.get_secret_value()}
        token = httpx.post(f"{url}/auth/token", json=login, timeout=60).json()["access_token"]
        given = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 60, **body}
        return httpx.request(method, f"{url}/api/v2{path}", **given).raise_for_status()


def until(found: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A model trained through the entry points, and an Airflow with the DAGs above."""
    folder = tmp_path_factory.mktemp("approval")
    model = train_all(folder, {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    (folder / "dags").mkdir()
    (folder / "dags" / "decisions.py").write_text(DAGS)
    bundle = {
        "name": "decisions",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder / "dags")},
    }
    given = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "PYTHONPATH": str(ROOT / "dags"),
    }
    home = folder / "airflow"
    where = {"store_uri": model.environment["STORE_URI"], "model_name": "tiny"}
    settings = on_free_ports(home).model_copy(update=where)
    preflight.make_folders(home)
    airflow_home.write_passwords(settings)
    given["MLFLOW_TRACKING_URI"] = settings.mlflow_tracking_uri
    with variables({**model.environment, **given}):
        airflow_home.migrate(home, stack_variables(settings, os.environ))
        with running(settings, "mlflow", "airflow-api", "airflow-scheduler", "airflow-dags"):
            client = AirflowClient(settings)
            for dag_id in ("patient", "hasty", "deployment"):
                client.wait_for_dag(dag_id, 240)
                client.unpause(dag_id)
            yield Office(settings, model, client)


def test_a_person_decides_on_the_verdict_and_the_ledger_says_who_and_why(office: Office) -> None:
    """Nobody in time, then a no, then a yes: only the yes promotes, and each is written down."""
    late = office.ask("hasty")
    assert office.end(late)["promote"] == "skipped"
    run = office.ask("patient")
    shown = office.request(run)["body"]
    assert shown == verdicts.as_markdown(office.model.verdict)
    assert "|---|" in shown
    office.answer(run, "Reject", "the eosinophils look wrong")
    assert office.end(run)["promote"] == "skipped"
    assert registry.served_now("tiny") is None
    office.ask_again(run)
    office.request(run)
    office.answer(run, "Approve", "a second look was fine")
    assert office.end(run)["promote"] == "success"
    user = office.settings.airflow_user
    assert [(said.author, said.reason, said.run_id) for said in registry.refusals("tiny")] == [
        ("nobody in time", "weekly", late.run_id),
        (user, "the eosinophils look wrong", run.run_id),
    ]
    assert office.note(late) == "refused: the gate or a person refused this model"
    assert office.note(run).startswith("promoted: tiny:")
    until(office.deployed)
    assert office.deployed() == [office.model.served]
    (move,) = registry.history("tiny")
    assert move.served == office.model.served
    assert (move.author, move.reason, move.run_id) == (user, "a second look was fine", run.run_id)


def test_what_was_rolled_back_returns_by_a_persons_word_only(office: Office) -> None:
    """The same bundle, rebuilt and passed again: refused and recorded, or shown with the reason."""
    store = open_store()
    harness, model = (
        PromotionHarness(store, "tiny"),
        store.open(office.model.served, ServedManifest),
    )
    other = harness.serve(harness.model(1))
    harness.serve(model)
    champion = harness.back(other.tag)
    verdict = harness.judge(model)
    alone = office.ask("patient", verdict=verdict, require_approval=False)
    assert office.end(alone)["promote"] == "skipped"
    assert registry.served_now("tiny") == champion
    refusal = registry.refusals("tiny")[-1]
    assert (refusal.author, refusal.run_id) == ("gate", alone.run_id)
    assert "somebody rolled back from this model (it was better)" in refusal.reason
    asked = office.ask("patient", verdict=verdict)
    assert "rolled back from this model" in office.request(asked)["body"]
    office.answer(asked, "Approve", "the microscope was at fault")
    assert office.end(asked)["promote"] == "success"
    returned = registry.history("tiny")[-1]
    assert (returned.tag, returned.reason) == (model.manifest.tag, "the microscope was at fault")


def test_a_retrain_that_gives_the_model_that_serves_is_unchanged(office: Office) -> None:
    """Nobody is asked, nothing moves or is deployed, and request, page and verdict all say so."""
    store = open_store()
    model = store.open(office.model.served, ServedManifest)
    harness = PromotionHarness(store, "tiny")
    if registry.served_now("tiny") is None:
        harness.serve(model)
    serving, shipped = registry.served_now("tiny"), office.deployed()
    assert serving is not None
    assert serving.tag == model.manifest.tag
    judged = verdicts.gate("", "again", office.model.evaluation, office.model.served)
    assert verdicts.unchanged(judged)
    window, decision = "window", f"{store.root}/retrain/tiny/decisions/1.json"
    now = datetime.now(UTC)
    asked = {"window": window, "reason": "drift", "time": now, "run_id": "watch"}
    said = RetrainDecision(name="tiny", drift="drift", verdict="alarm", requested=True, **asked)
    store.objects.write(decision, said.model_dump_json().encode())
    request = RetrainRequest(sequence=1, **asked)
    store.objects.write(f"{store.root}/retrain/tiny/open.json", request.model_dump_json().encode())
    run = office.ask("patient", verdict=judged, request=decision)
    states = office.end(run)
    assert {name: states[name] for name in ("approve", "promote", "close_request")} == {
        "approve": "skipped",
        "promote": "skipped",
        "close_request": "success",
    }
    ended = office.promotion(run)
    assert (ended["outcome"], ended["served"]) == ("unchanged", office.model.served)
    assert office.note(run).startswith("unchanged: the challenger is the champion (same bundle)")
    closed = RetrainRequests(store.objects, store.root, "tiny").last()
    assert closed is not None
    assert closed.outcome.startswith(f"unchanged ({run.run_id})")
    assert registry.served_now("tiny") == serving
    assert office.deployed() == shipped


def test_an_approval_of_a_stale_verdict_is_not_tried_again(office: Office) -> None:
    """Another model is promoted while a person reads: one try, and the log says what to do."""
    store = open_store()
    harness = PromotionHarness(store, "tiny")
    run = office.ask("patient", verdict=harness.judge(harness.model(7)))
    office.request(run)
    harness.serve(harness.model(8))
    office.answer(run, "Approve", "it looked fine")
    until(lambda: office.airflow.run(run.dag_id, run.run_id).finished)
    assert office.airflow.run(run.dag_id, run.run_id).state == "failed"
    tried = {task.task_id: task for task in office.airflow.tasks(run.dag_id, run.run_id)}
    assert (tried["promote"].state, tried["promote"].try_number) == ("failed", 1)
    log = office.airflow.log(run.dag_id, run.run_id, tried["promote"])
    assert any("StaleVerdictError: the approved verdict on tiny:" in line for line in log), log
    assert any("clear the task `gate` and all after it" in line for line in log), log
    assert office.note(run).startswith("failed: ")
    serving = registry.served_now("tiny")
    assert serving is not None
    assert serving.tag == harness.model(8).manifest.tag
