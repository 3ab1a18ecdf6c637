"""The Airflow client against a fake server."""

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
    """One DAG, one user, and tokens that a test can expire."""

    def __init__(self) -> None:
        super().__init__(self._respond)
        self.runs: dict[str, str] = {}
        self.notes: dict[str, str] = {}
        self.token = 0
        self.broken: list[dict[str, str]] = []
        self.status = 0
        """If not 0, status of every response except to a login."""
        self.failures = 0
        """Number of responses with status 500 before normal ones."""
        self.late = 0
        """Number of requests without a response before normal ones."""

    def _respond(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            self.token += 1
            return httpx.Response(201, json={"access_token": str(self.token)})
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return httpx.Response(401, json={"detail": "expired"})
        if self.late:
            self.late -= 1
            raise httpx.ReadTimeout("timed out", request=request)
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
            run_id = json.loads(request.content)["dag_run_id"]
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
    """A client of the fake server."""
    settings = Settings(airflow_url="http://airflow", airflow_password=SecretStr("x"))
    return AirflowClient(settings, transport=airflow)


def _entry(task_id: str, **fields: Any) -> dict[str, Any]:
    empty = {"map_index": -1, "state": None, "start_date": None, "duration": None, "try_number": 0}
    return {"task_id": task_id, **empty, **fields}


def test_tasks_are_in_order_of_their_start() -> None:
    """Unstarted tasks come last, instances of a mapped task by index."""
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


def test_log_lines_are_text_with_the_error() -> None:
    """Without group markers, with the error that ended the task."""
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


def test_a_started_run_has_the_url_of_its_page(client: AirflowClient) -> None:
    """Special characters of a run id are quoted."""
    run = client.trigger("known", {}, run_id="manual__2026-01-01T12:00:00+00:00")
    assert run.url == "http://airflow/dags/known/runs/manual__2026-01-01T12%3A00%3A00%2B00%3A00"
    assert not run.finished


def test_a_run_id_is_triggered_once(client: AirflowClient, airflow: FakeAirflow) -> None:
    """A second trigger returns the existing run."""
    first = client.trigger("known", {}, run_id="mine")
    assert client.trigger("known", {}, run_id="mine") == first
    assert list(airflow.runs) == ["mine"]


def test_an_expired_token_is_renewed(client: AirflowClient, airflow: FakeAirflow) -> None:
    """A request with an expired token succeeds."""
    client.trigger("known", {}, run_id="mine")
    airflow.token = 41
    assert client.run("known", "mine").state == "queued"


def test_an_unknown_dag_is_invalid_input(client: AirflowClient) -> None:
    """The error has Airflow's detail."""
    with pytest.raises(InvalidInputError, match="404; received no such DAG"):
        client.trigger("unknown", {})


def test_a_failing_airflow_is_unreachable(client: AirflowClient, airflow: FakeAirflow) -> None:
    """A status of 500 is not invalid input."""
    airflow.status = 500
    with pytest.raises(UnreachableError, match="status 500"):
        client.unpause("known")


def test_requests_and_triggers_are_retried(client: AirflowClient, airflow: FakeAirflow) -> None:
    """After one server error a GET succeeds, and so does a trigger, which starts one run."""
    run = client.trigger("known", {}, run_id="mine")
    airflow.failures = 1
    assert client.run("known", run.run_id).state == "queued"
    airflow.failures = 1
    other = client.trigger("known", {})
    assert other.run_id.startswith("manual__")
    assert set(airflow.runs) == {"mine", other.run_id}
    airflow.failures = 9
    with pytest.raises(UnreachableError, match="status 500"):
        client.trigger("known", {})


def test_a_late_response_is_requested_once_more(
    client: AirflowClient, airflow: FakeAirflow
) -> None:
    """A second timeout is an error. A trigger has an id, so that its repetition starts no run."""
    run = client.trigger("known", {}, run_id="mine")
    airflow.late = 1
    assert client.run("known", run.run_id).state == "queued"
    airflow.late = 2
    with pytest.raises(UnreachableError, match="timed out"):
        client.run("known", run.run_id)
    airflow.late = 1
    assert client.trigger("known", {}, run_id="mine").run_id == "mine"
    assert set(airflow.runs) == {"mine"}


def test_a_refused_connection_is_unreachable() -> None:
    """The error names the address."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    settings = Settings(airflow_url="http://airflow")
    client = AirflowClient(settings, transport=httpx.MockTransport(refuse))
    with pytest.raises(UnreachableError, match="http://airflow: refused"):
        client.runs("known")


def test_waiting_for_a_broken_dag_ends_with_its_error(
    client: AirflowClient, airflow: FakeAirflow
) -> None:
    """Without waiting for the timeout."""
    airflow.broken = [{"filename": "dags/other.py", "stack_trace": "Traceback\nNameError: x\n"}]
    with pytest.raises(InvalidInputError, match="NameError: x"):
        client.wait_for_dag("other", 5)


def test_waiting_for_a_missing_dag_times_out(client: AirflowClient) -> None:
    """The error has the timeout."""
    with pytest.raises(UnreachableError, match="within 0 s"):
        client.wait_for_dag("other", 0)


def test_only_success_and_failed_are_final() -> None:
    """Other states can change."""
    states = ("queued", "running", "success", "failed")
    assert [DagRun("d", "r", state, "").finished for state in states] == [False, False, True, True]


def test_a_note_is_cut_to_airflows_limit(client: AirflowClient, airflow: FakeAirflow) -> None:
    """Airflow refuses notes of more than 1,000 characters."""
    client.trigger("known", {}, run_id="mine")
    client.note("known", "mine", "unchanged: " + "x" * 2000)
    assert airflow.notes["mine"].startswith("unchanged: x")
    assert len(airflow.notes["mine"]) == 1000
