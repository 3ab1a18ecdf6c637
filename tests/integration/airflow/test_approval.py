"""Approval of a trained model by a person, in the training DAG on a real Airflow."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from monitoring.retraining.policy import RetrainDecision, RetrainRequest
from monitoring.retraining.retrain_requests import RetrainRequestStore
from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.airflow_session import AirflowSession, require_success
from pipeline.artifacts import ServedManifest
from pipeline.embedded.parts import ROOT
from pipeline.embedded.processes.temporary_parts import running
from pipeline.entrypoints import served_models, verdicts
from pipeline.entrypoints.jobs.job import open_store
from pipeline.settings import Settings
from tests.integration.training.trained import Trained, variables
from tests.integration.waiting import until
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
class ApprovalStack:
    """A running Airflow with the approval DAGs, one trained model, and calls of its API."""

    settings: Settings
    model: Trained
    airflow: AirflowClient

    def start(self, dag_id: str, **fields: Any) -> DagRun:
        """Start a run that requires approval, unless `fields` override it."""
        form = {"config": self.model.config, "verdict": self.model.verdict, **fields}
        return self.airflow.trigger(dag_id, form)

    def request(self, run: DagRun) -> dict[str, Any]:
        """The approval form, once the task waits for input."""
        until(lambda: self.states(run).get("approve") == "awaiting_input", 240)
        # Airflow 3.3 fails a task whose response arrives before the scheduler stored its pause.
        time.sleep(5)
        return dict(self._send("GET", f"{self._approval(run)}/hitlDetails").json())

    def respond(self, run: DagRun, option: str, note: str) -> None:
        """Choose `Approve` or `Reject`, with a note."""
        body = {"chosen_options": [option], "params_input": {"note": note}}
        self._send("PATCH", f"{self._approval(run)}/hitlDetails", json=body)

    def clear_approval(self, run: DagRun) -> None:
        """Clear the approval task and all tasks after it."""
        body = {"dag_run_id": run.run_id, "task_ids": ["approve"], "include_downstream": True}
        body |= {"dry_run": False, "only_failed": False}
        self._send("POST", f"/dags/{run.dag_id}/clearTaskInstances", json=body)

    def finish(self, run: DagRun) -> dict[str, str]:
        """Task states of a run, once it has succeeded."""
        until(lambda: self.airflow.run(run.dag_id, run.run_id).finished, 240)
        assert self.airflow.run(run.dag_id, run.run_id).state == "success"
        return self.states(run)

    def note(self, run: DagRun) -> str:
        """Note on the page of a run."""
        return str(self._send("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}").json()["note"])

    def promotion(self, run: DagRun) -> dict[str, str]:
        """Outcome of `promote`, from its XCom."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/promote/xcomEntries"
        return dict(self._send("GET", f"{path}/promotion").json()["value"])

    def deployed(self) -> list[Any]:
        """Served bundles that were deployed, newest first."""
        runs = self.airflow.runs("deployment")
        until(lambda: all(self.airflow.run(r.dag_id, r.run_id).finished for r in runs), 240)
        return [self.airflow.returned("deployment", r.run_id, "shipped") for r in runs]

    def states(self, run: DagRun) -> dict[str, str]:
        """State of each task by task id."""
        return {task.task_id: task.state for task in self.airflow.tasks(run.dag_id, run.run_id)}

    def _approval(self, run: DagRun) -> str:
        return f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/approve/-1"

    def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        return require_success(AirflowSession(self.settings).send(method, path, **body))


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory,
    prepare_airflow: Callable[[Path], Settings],
    trained_untracked: Trained,
) -> Iterator[ApprovalStack]:
    """A trained model, and a running Airflow and MLflow with the DAGs above."""
    folder = tmp_path_factory.mktemp("approval")
    model = trained_untracked.with_store(folder / "store")
    (folder / "dags").mkdir()
    (folder / "dags" / "decisions.py").write_text(DAGS)
    bundle = {
        "name": "decisions",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder / "dags")},
    }
    environment = {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "PYTHONPATH": str(ROOT / "dags"),
    }
    served = {"store_uri": model.environment["STORE_URI"], "model_name": "tiny"}
    settings = prepare_airflow(folder / "airflow").model_copy(update=served)
    environment["MLFLOW_TRACKING_URI"] = settings.mlflow_tracking_uri
    parts = ("mlflow", "airflow-api", "airflow-scheduler", "airflow-dags")
    with variables({**model.environment, **environment}), running(settings, *parts):
        client = AirflowClient(settings)
        for dag_id in ("patient", "hasty", "deployment"):
            client.wait_for_dag(dag_id, 240)
            client.unpause(dag_id)
        yield ApprovalStack(settings, model, client)


def test_only_an_approved_verdict_is_promoted_and_the_ledger_has_author_and_reason(
    stack: ApprovalStack,
) -> None:
    """Timeout, rejection, approval: only the approval promotes, and each is recorded."""
    late = stack.start("hasty")
    assert stack.finish(late)["promote"] == "skipped"
    run = stack.start("patient")
    shown = stack.request(run)["body"]
    assert shown == verdicts.as_markdown(stack.model.verdict)
    assert "|---|" in shown
    stack.respond(run, "Reject", "the eosinophils look wrong")
    assert stack.finish(run)["promote"] == "skipped"
    assert served_models.served_now("tiny") is None
    stack.clear_approval(run)
    stack.request(run)
    stack.respond(run, "Approve", "a second look was fine")
    assert stack.finish(run)["promote"] == "success"
    user = stack.settings.airflow_user
    refusals = served_models.refusals("tiny")
    assert [(refusal.author, refusal.reason, refusal.run_id) for refusal in refusals] == [
        ("approval timeout", "weekly", late.run_id),
        (user, "the eosinophils look wrong", run.run_id),
    ]
    assert stack.note(late) == "refused: the gate or a person refused this model"
    assert stack.note(run).startswith("promoted: tiny:")
    until(stack.deployed, 240)
    assert stack.deployed() == [stack.model.served]
    (move,) = served_models.history("tiny")
    assert move.served == stack.model.served
    assert (move.author, move.reason, move.run_id) == (user, "a second look was fine", run.run_id)


def test_a_rolled_back_model_is_promoted_only_with_approval(stack: ApprovalStack) -> None:
    """The same bundle passes the gate again: refused automatically, or shown with the reason."""
    store = open_store()
    harness, model = (
        PromotionHarness(store, "tiny"),
        store.open(stack.model.served, ServedManifest),
    )
    other = harness.serve(harness.model(1))
    harness.serve(model)
    champion = harness.back(other.tag)
    verdict = harness.judge(model)
    automatic = stack.start("patient", verdict=verdict, require_approval=False)
    assert stack.finish(automatic)["promote"] == "skipped"
    assert served_models.served_now("tiny") == champion
    refusal = served_models.refusals("tiny")[-1]
    assert (refusal.author, refusal.run_id) == ("gate", automatic.run_id)
    assert "somebody rolled back from this model (it was better)" in refusal.reason
    manual = stack.start("patient", verdict=verdict)
    assert "rolled back from this model" in stack.request(manual)["body"]
    stack.respond(manual, "Approve", "the microscope was at fault")
    assert stack.finish(manual)["promote"] == "success"
    returned = served_models.history("tiny")[-1]
    assert (returned.tag, returned.reason) == (model.manifest.tag, "the microscope was at fault")


def test_a_retrain_that_produces_the_champion_is_unchanged(stack: ApprovalStack) -> None:
    """No approval, promotion or deployment; request, run page and verdict say `unchanged`."""
    store = open_store()
    model = store.open(stack.model.served, ServedManifest)
    harness = PromotionHarness(store, "tiny")
    if served_models.served_now("tiny") is None:
        harness.serve(model)
    serving, shipped = served_models.served_now("tiny"), stack.deployed()
    assert serving is not None
    assert serving.tag == model.manifest.tag
    judged = verdicts.gate("", "again", stack.model.evaluation, stack.model.served)
    assert verdicts.unchanged(judged)
    window, decision = "window", f"{store.root}/retrain/tiny/decisions/1.json"
    now = datetime.now(UTC)
    origin = {"window": window, "reason": "drift", "time": now, "run_id": "watch"}
    decided = RetrainDecision(name="tiny", drift="drift", verdict="alarm", requested=True, **origin)
    store.objects.write(decision, decided.model_dump_json().encode())
    request = RetrainRequest(sequence=1, **origin)
    store.objects.write(f"{store.root}/retrain/tiny/open.json", request.model_dump_json().encode())
    run = stack.start("patient", verdict=judged, request=decision)
    states = stack.finish(run)
    assert {name: states[name] for name in ("approve", "promote", "close_request")} == {
        "approve": "skipped",
        "promote": "skipped",
        "close_request": "success",
    }
    ended = stack.promotion(run)
    assert (ended["outcome"], ended["served"]) == ("unchanged", stack.model.served)
    assert stack.note(run).startswith("unchanged: the challenger is the champion (same bundle)")
    closed = RetrainRequestStore(store.objects, store.root, "tiny").last()
    assert closed is not None
    assert closed.outcome.startswith(f"unchanged ({run.run_id})")
    assert served_models.served_now("tiny") == serving
    assert stack.deployed() == shipped


def test_an_approval_of_a_stale_verdict_is_not_retried(stack: ApprovalStack) -> None:
    """Another model is promoted before the approval: one try, and the log says what to do next."""
    store = open_store()
    harness = PromotionHarness(store, "tiny")
    run = stack.start("patient", verdict=harness.judge(harness.model(7)))
    stack.request(run)
    harness.serve(harness.model(8))
    stack.respond(run, "Approve", "it looked fine")
    until(lambda: stack.airflow.run(run.dag_id, run.run_id).finished, 240)
    assert stack.airflow.run(run.dag_id, run.run_id).state == "failed"
    tasks = {task.task_id: task for task in stack.airflow.tasks(run.dag_id, run.run_id)}
    assert (tasks["promote"].state, tasks["promote"].try_number) == ("failed", 1)
    log = stack.airflow.log(run.dag_id, run.run_id, tasks["promote"])
    assert any("StaleVerdictError: the approved verdict on tiny:" in line for line in log), log
    assert any("clear the task `gate` and all after it" in line for line in log), log
    assert stack.note(run).startswith("failed: ")
    serving = served_models.served_now("tiny")
    assert serving is not None
    assert serving.tag == harness.model(8).manifest.tag
