"""Following an Airflow DAG run to its end."""

import io
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from rich.console import Console

from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.demo.progress import RunFailedError, follow
from pipeline.errors import UnreachableError
from pipeline.settings import Settings

RUN = DagRun("known", "mine", "queued", "http://airflow/dags/known/runs/mine")


class FakeAirflow(httpx.MockTransport):
    """One run with two tasks; the state of the run and of the second task are set."""

    def __init__(self, run: str, task: str) -> None:
        super().__init__(self._respond)
        self._run, self._task = run, task

    def _respond(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/auth/token":
            return httpx.Response(201, json={"access_token": "1"})
        if path.endswith("/taskInstances"):
            entries = [_entry("first", "success"), _entry("second", self._task)]
            return httpx.Response(200, json={"task_instances": entries})
        if "/logs/" in path:
            lines = [{"event": "second task"}, {"event": "S3 is unreachable"}]
            return httpx.Response(200, json={"content": lines})
        body = {"dag_id": "known", "dag_run_id": "mine", "state": self._run}
        return httpx.Response(200, json=body)


def _entry(task_id: str, state: str) -> dict[str, Any]:
    start = {"start_date": "2026-01-01T12:00:00Z", "duration": 4.5}
    return {"task_id": task_id, "map_index": -1, "state": state, "try_number": 1, **start}


def followed(run: str, task: str, timeout: float = 5) -> str:
    """Output of `follow` for a run and a second task in these states."""
    settings = Settings(airflow_url="http://airflow", airflow_password=SecretStr("x"))
    client = AirflowClient(settings, transport=FakeAirflow(run, task))
    out = io.StringIO()
    assert follow(client, RUN, Console(file=out, width=100), timeout=timeout).finished
    return out.getvalue()


def test_each_task_is_printed_once() -> None:
    """Without a terminal each finished task is one plain line."""
    output = followed("success", "success")
    assert output.splitlines()[0] == f"following known: {RUN.url}"
    assert [line.split()[2] for line in output.splitlines()[1:]] == ["first", "second"]


def test_a_failed_run_names_its_task_and_page() -> None:
    """The message is one line, for the table; the log lines are a separate field."""
    with pytest.raises(RunFailedError) as error:
        followed("failed", "failed")
    assert error.value.message == f"known ended as failed at second: {RUN.url}"
    assert error.value.received == "second task\nS3 is unreachable"


def test_a_run_that_was_cancelled_names_its_page() -> None:
    """Without a failed task the message has no task."""
    with pytest.raises(RunFailedError, match="known ended as failed: http://airflow/dags"):
        followed("failed", "skipped")


def test_a_run_that_does_not_end_is_left() -> None:
    """The error names the timeout."""
    with pytest.raises(UnreachableError, match="has not ended within -1 s"):
        followed("running", "running", timeout=-1)
