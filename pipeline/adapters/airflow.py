"""Airflow through its public API, version 2: start runs, follow them, end them."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

log = logging.getLogger(__name__)

FINISHED = ("success", "failed")
_PAGE = 100
"""Entries asked for at once; Airflow's own default is 50."""

_LONGEST_NOTE = 1000

_PAUSES = (0.5, 1.0, 2.0)
"""Seconds before each repetition of a request that the server failed."""


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    """`queued`, `running`, `success` or `failed`."""
    url: str
    """Its page in Airflow."""
    conf: Mapping[str, Any] = field(default_factory=dict)
    """What its form said."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.state in FINISHED


@dataclass(frozen=True)
class TaskState:
    """Where one task of a run stands."""

    task_id: str
    map_index: int
    """Position among the copies of a mapped task, -1 for a task that is not mapped."""
    state: str
    """Airflow's word (`running`, `success`, `skipped`, ...), `waiting` before it is scheduled."""
    seconds: float
    """How long it ran, or has been running."""
    try_number: int


class AirflowClient:
    """One user's session; tokens are renewed as they expire."""

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        self._url = settings.airflow_url.rstrip("/")
        self._login = {
            "username": settings.airflow_user,
            "password": settings.airflow_password.get_secret_value(),
        }
        self._http = httpx.Client(base_url=self._url, timeout=30, transport=transport)

    def trigger(self, dag_id: str, conf: dict[str, Any], *, run_id: str | None = None) -> DagRun:
        """Start a run with the form's fields in `conf`; a `run_id` that exists is returned as is.

        Raises:
            InvalidInputError: when Airflow knows no such DAG or refuses a field.
            UnreachableError: when Airflow does not answer.
        """
        body = {"logical_date": None, "conf": conf, "dag_run_id": run_id}
        answer = self._send("POST", f"/dags/{dag_id}/dagRuns", json=body)
        if answer.status_code == httpx.codes.CONFLICT and run_id is not None:
            return self.run(dag_id, run_id)
        started = self._dag_run(_checked(answer).json())
        log.info("started %s as %s", dag_id, started.run_id)
        return started

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """A run by its id."""
        return self._dag_run(self._get(_run_path(dag_id, run_id)))

    def runs(self, dag_id: str) -> list[DagRun]:
        """The newest runs of a DAG, newest first, at most 100."""
        page = self._get(f"/dags/{dag_id}/dagRuns", order_by="-run_after", limit=_PAGE)
        return [self._dag_run(entry) for entry in page["dag_runs"]]

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """The tasks of a run, those that started first at the head."""
        page = self._get(f"{_run_path(dag_id, run_id)}/taskInstances", limit=_PAGE)
        return task_states(page["task_instances"], datetime.now(UTC))

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task of a run returned: its XCom.

        Raises:
            InvalidInputError: when it returned nothing.
        """
        return self._get(
            f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        )["value"]

    def cancel(self, dag_id: str, run_id: str) -> None:
        """End a run as failed; its teardown still runs."""
        answer = self._send("PATCH", _run_path(dag_id, run_id), json={"state": "failed"})
        _checked(answer)
        log.info("cancelled %s", run_id)

    def note(self, dag_id: str, run_id: str, text: str) -> None:
        """Show a text on a run's page, in place of an earlier one; at most 1,000 characters."""
        body = {"note": text[:_LONGEST_NOTE]}
        _checked(self._send("PATCH", _run_path(dag_id, run_id), json=body))

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG."""
        _checked(self._send("PATCH", f"/dags/{dag_id}", json={"is_paused": False}))

    def wait_for_dag(self, dag_id: str, timeout: float) -> None:
        """Return once Airflow has read a DAG.

        Args:
            dag_id: the DAG.
            timeout: seconds to wait.

        Raises:
            InvalidInputError: when one of Airflow's DAG files cannot be imported.
            UnreachableError: when it is not there in time.
        """
        deadline = time.monotonic() + timeout
        while self._send("GET", f"/dags/{dag_id}").status_code != httpx.codes.OK:
            for broken in self._get("/importErrors")["import_errors"]:
                if dag_id in broken["filename"]:
                    raise InvalidInputError(
                        f"Airflow cannot import {broken['filename']}",
                        received=_last_line(broken["stack_trace"]),
                    )
            if time.monotonic() > deadline:
                raise UnreachableError(f"Airflow has not read {dag_id} within {timeout:.0f} s")
            time.sleep(1)

    def log(self, dag_id: str, run_id: str, task: TaskState, *, lines: int = 20) -> list[str]:
        """The last lines that a task's latest try logged."""
        page = self._get(
            f"{_run_path(dag_id, run_id)}/taskInstances/{task.task_id}/logs/{task.try_number}",
            map_index=task.map_index,
            full_content=True,
        )
        return log_lines(page["content"])[-lines:]

    def _get(self, path: str, **params: Any) -> Any:
        return _checked(self._send("GET", path, params=params)).json()

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send with a token, and once more with a fresh one when it has expired.

        Airflow on SQLite answers 500 while another part holds the database. What may be said twice
        is said again; a POST starts something, and is not.
        """
        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            answer = self._http.request(method, f"/api/v2{path}", **arguments)
            if answer.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in()
                answer = self._http.request(method, f"/api/v2{path}", **arguments)
            for pause in () if method == "POST" else _PAUSES:
                if not answer.is_server_error:
                    break
                time.sleep(pause)
                answer = self._http.request(method, f"/api/v2{path}", **arguments)
        except httpx.TransportError as error:
            raise UnreachableError(f"Airflow does not answer at {self._url}: {error}") from error
        return answer

    def _log_in(self) -> None:
        answer = _checked(self._http.post("/auth/token", json=self._login))
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _dag_run(self, entry: dict[str, Any]) -> DagRun:
        dag_id, run_id = entry["dag_id"], entry["dag_run_id"]
        url = f"{self._url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"
        return DagRun(dag_id, run_id, entry["state"], url, entry.get("conf") or {})


def task_states(entries: list[dict[str, Any]], now: datetime) -> list[TaskState]:
    """Task instances as the API gives them, in order of their start; those that wait come last."""
    ordered = sorted(entries, key=lambda entry: (entry["start_date"] or "~", entry["map_index"]))
    return [
        TaskState(
            entry["task_id"],
            entry["map_index"],
            entry["state"] or "waiting",
            _seconds(entry, now),
            entry["try_number"],
        )
        for entry in ordered
    ]


def log_lines(content: list[dict[str, Any]]) -> list[str]:
    """Structured log entries as text, with the error an entry carries, without group markers."""
    lines = []
    for entry in content:
        if not entry["event"].startswith("::"):
            lines.append(entry["event"])
        for error in entry.get("error_detail") or ():
            lines.append(f"{error['exc_type']}: {error['exc_value']}")
    return lines


def _seconds(entry: dict[str, Any], now: datetime) -> float:
    if entry["duration"] is not None:
        return float(entry["duration"])
    if entry["start_date"] is None:
        return 0.0
    return (now - datetime.fromisoformat(entry["start_date"])).total_seconds()


def _checked(answer: httpx.Response) -> httpx.Response:
    """The answer, unless it is a refusal."""
    if answer.is_success:
        return answer
    asked = f"{answer.request.method} {answer.request.url.path}"
    if answer.is_server_error:
        raise UnreachableError(f"Airflow failed at {asked} with status {answer.status_code}")
    raise InvalidInputError(
        f"Airflow refused {asked} with status {answer.status_code}", received=_detail(answer)
    )


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
