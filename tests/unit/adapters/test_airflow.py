"""The parts of the Airflow client that need no Airflow."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from pipeline.adapters.airflow import AirflowClient, DagRun, log_lines, task_states
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


class FakeAirflow(httpx.MockTransport):
    """One DAG, one user, tokens that expire when told to."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.runs: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.token = 0
        self.broken: list[dict[str, str]] = []
        self.status = 0
        """Answer everything but a login with this status."""
        self.failures = 0
        """Answer 500 so many times first."""

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.token += 1
            return httpx.Response(201, json={"access_token": str(self.token)})
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return httpx.Response(401, json={"detail": "expired"})
        if self.status:
            return httpx.Response(self.status, text="no")
        if self.failures:
            self.failures -= 1
            return httpx.Response(500, text="database is locked")
        path = request.url.path.removeprefix("/api/v2")
        if path == "/importErrors":
            return httpx.Response(200, json={"import_errors": self.broken})
        if not path.startswith("/dags/known/dagRuns"):
            return httpx.Response(404, json={"detail": "no such DAG"})
        return self._run(request)

    def _run(self, request: httpx.Request) -> httpx.Response:
        run_id = request.url.path.rpartition("/")[2]
        if request.method == "POST":
            run_id = json.loads(request.content)["dag_run_id"] or "manual__1"
            if run_id in self.runs:
                return httpx.Response(409, json={"detail": "exists"})
            self.runs[run_id] = "queued"
        if request.method == "PATCH":
            self.notes[run_id] = json.loads(request.content)["note"]
        return httpx.Response(
            200, json={"dag_id": "known", "dag_run_id": run_id, "state": self.runs[run_id]}
        )


@pytest.fixture
def airflow() -> FakeAirflow:
    """An Airflow in memory."""
    return FakeAirflow()


@pytest.fixture
def client(airflow: FakeAirflow) -> AirflowClient:
    """A client of it."""
    settings = Settings(airflow_url="http://airflow", airflow_password=SecretStr("x"))
    return AirflowClient(settings, transport=airflow)


def _entry(task_id: str, **fields: Any) -> dict[str, Any]:
    empty = {"map_index": -1, "state": None, "start_date": None, "duration": None, "try_number": 0}
    return {"task_id": task_id, **empty, **fields}


def test_tasks_come_in_the_order_in_which_they_started() -> None:
    """Those that still wait stand at the end, copies of a mapped task in their order."""
    entries = [
        _entry("later"),
        _entry("mapped", map_index=1, state="running", start_date="2026-01-01T12:00:10Z"),
        _entry("mapped", map_index=0, state="running", start_date="2026-01-01T12:00:10Z"),
        _entry("first", state="success", start_date="2026-01-01T12:00:00Z", duration=4.5),
    ]
    states = task_states(entries, NOW)
    assert [(task.task_id, task.map_index) for task in states] == [
        ("first", -1),
        ("mapped", 0),
        ("mapped", 1),
        ("later", -1),
    ]
    assert [task.seconds for task in states] == [4.5, 20.0, 20.0, 0.0]
    assert states[-1].state == "waiting"


def test_a_log_reads_as_text_with_its_error() -> None:
    """Group markers are left out; the error that ended the task is not."""
    content: list[dict[str, Any]] = [
        {"event": "::group::Pre Execute"},
        {"event": "ingest s3://a.zip"},
        {
            "event": "Task failed with exception",
            "error_detail": [{"exc_type": "InvalidInputError", "exc_value": "a member escapes"}],
        },
    ]
    assert log_lines(content) == [
        "ingest s3://a.zip",
        "Task failed with exception",
        "InvalidInputError: a member escapes",
    ]


def test_a_started_run_names_its_page(client: AirflowClient) -> None:
    """The URL survives the characters that Airflow puts into run ids."""
    run = client.trigger("known", {}, run_id="manual__2026-01-01T12:00:00+00:00")
    assert run.url == "http://airflow/dags/known/runs/manual__2026-01-01T12%3A00%3A00%2B00%3A00"
    assert not run.finished


def test_a_run_id_is_started_once(client: AirflowClient, airflow: FakeAirflow) -> None:
    """Asking again for a run that exists returns it."""
    first = client.trigger("known", {}, run_id="mine")
    assert client.trigger("known", {}, run_id="mine") == first
    assert list(airflow.runs) == ["mine"]


def test_an_expired_token_is_renewed(client: AirflowClient, airflow: FakeAirflow) -> None:
    """A run that is followed for longer than a token lives is followed to its end."""
    client.trigger("known", {}, run_id="mine")
    airflow.token = 41
    assert client.run("known", "mine").state == "queued"


def test_an_unknown_dag_is_the_callers_mistake(client: AirflowClient) -> None:
    """Airflow's own words are passed on."""
    with pytest.raises(InvalidInputError, match="404; received no such DAG"):
        client.trigger("unknown", {})


def test_a_failing_airflow_is_unreachable(client: AirflowClient, airflow: FakeAirflow) -> None:
    """A 500 is nothing that the caller could mend."""
    airflow.status = 500
    with pytest.raises(UnreachableError, match="status 500"):
        client.unpause("known")


def test_a_question_is_asked_again_and_a_run_is_not_started_twice(
    client: AirflowClient, airflow: FakeAirflow
) -> None:
    """A server error that passes is not seen by who asks; what starts something is said once."""
    run = client.trigger("known", {}, run_id="mine")
    airflow.failures = 1
    assert client.run("known", run.run_id).state == "queued"
    airflow.failures = 1
    with pytest.raises(UnreachableError, match="status 500"):
        client.trigger("known", {}, run_id="other")
    assert set(airflow.runs) == {"mine"}


def test_no_airflow_is_unreachable() -> None:
    """A refused connection names the address."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    settings = Settings(airflow_url="http://airflow")
    client = AirflowClient(settings, transport=httpx.MockTransport(refuse))
    with pytest.raises(UnreachableError, match="http://airflow: refused"):
        client.runs("known")


def test_waiting_for_a_broken_dag_ends_with_its_error(
    client: AirflowClient, airflow: FakeAirflow
) -> None:
    """Nobody waits for a file that cannot be imported."""
    airflow.broken = [{"filename": "dags/other.py", "stack_trace": "Traceback\nNameError: x\n"}]
    with pytest.raises(InvalidInputError, match="NameError: x"):
        client.wait_for_dag("other", 5)


def test_waiting_for_a_dag_that_is_not_there_ends(client: AirflowClient) -> None:
    """The time is said."""
    with pytest.raises(UnreachableError, match="within 0 s"):
        client.wait_for_dag("other", 0)


def test_a_run_is_finished_when_it_succeeded_or_failed() -> None:
    """Everything else may still change."""
    states = ("queued", "running", "success", "failed")
    assert [DagRun("d", "r", state, "").finished for state in states] == [False, False, True, True]


def test_a_note_is_cut_to_what_airflow_takes(client: AirflowClient, airflow: FakeAirflow) -> None:
    """Airflow refuses notes of more than 1,000 characters."""
    client.trigger("known", {}, run_id="mine")
    client.note("known", "mine", "unchanged: " + "x" * 2000)
    assert airflow.notes["mine"].startswith("unchanged: x")
    assert len(airflow.notes["mine"]) == 1000
