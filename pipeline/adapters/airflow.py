"""Airflow through its public API, version 2: start, follow, cancel and annotate runs."""

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from pipeline.adapters.airflow_session import AirflowSession, require_success
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.settings import Settings

log = logging.getLogger(__name__)

FINISHED = ("success", "failed")
_PAGE = 100
"""Entries per request; Airflow's default is 50."""

_MAX_NOTE_CHARACTERS = 1000


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
    """Fields of its form."""

    @property
    def finished(self) -> bool:
        """Whether the run has ended, successfully or not."""
        return self.state in FINISHED


@dataclass(frozen=True)
class TaskState:
    """State of one task of a run."""

    task_id: str
    map_index: int
    """Index within a mapped task; -1 for a task that is not mapped."""
    state: str
    """Airflow's state (`running`, `success`, `skipped`, ...); `waiting` before it is scheduled."""
    seconds: float
    """Run time, so far if it is running."""
    try_number: int


class AirflowClient:
    """Client of Airflow's API: DAG runs and their tasks, under one login.

    Every method raises UnreachableError when Airflow does not respond, and InvalidInputError when
    it refuses the request.
    """

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        self._session = AirflowSession(settings, transport)

    def trigger(self, dag_id: str, conf: dict[str, Any], *, run_id: str | None = None) -> DagRun:
        """Start a run with form fields `conf`; returns the existing run if `run_id` is taken.

        Returns at once, while the run is queued. The id makes a retry safe.
        """
        run_id = run_id or f"manual__{datetime.now(UTC).isoformat()}_{secrets.token_hex(4)}"
        body = {"logical_date": None, "conf": conf, "dag_run_id": run_id}
        path = f"/dags/{dag_id}/dagRuns"
        response = self._session.send("POST", path, idempotent=True, json=body)
        if response.status_code == httpx.codes.CONFLICT:
            return self.run(dag_id, run_id)
        started = self._dag_run(require_success(response).json())
        log.info("started %s as %s", dag_id, started.run_id)
        return started

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """Read a DAG run by its id; InvalidInputError if there is none."""
        return self._dag_run(self._session.get(_run_path(dag_id, run_id)))

    def runs(self, dag_id: str) -> list[DagRun]:
        """The newest runs of a DAG, newest first, at most 100."""
        page = self._session.get(f"/dags/{dag_id}/dagRuns", order_by="-run_after", limit=_PAGE)
        return [self._dag_run(entry) for entry in page["dag_runs"]]

    def tasks(self, dag_id: str, run_id: str) -> list[TaskState]:
        """The tasks of a run (at most 100), in order of their start."""
        page = self._session.get(f"{_run_path(dag_id, run_id)}/taskInstances", limit=_PAGE)
        return task_states(page["task_instances"], datetime.now(UTC))

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return value (XCom) of a task; InvalidInputError when it has none."""
        return self._session.get(
            f"{_run_path(dag_id, run_id)}/taskInstances/{task_id}/xcomEntries/return_value"
        )["value"]

    def cancel(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed, which stops its tasks; returns before the teardown has ended."""
        require_success(
            self._session.send("PATCH", _run_path(dag_id, run_id), json={"state": "failed"})
        )
        log.info("cancelled %s", run_id)

    def note(self, dag_id: str, run_id: str, text: str) -> None:
        """Replace the note on a run's page; the text is cut to 1,000 characters."""
        body = {"note": text[:_MAX_NOTE_CHARACTERS]}
        require_success(self._session.send("PATCH", _run_path(dag_id, run_id), json=body))

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG."""
        require_success(self._session.send("PATCH", f"/dags/{dag_id}", json={"is_paused": False}))

    def wait_for_dag(self, dag_id: str, timeout: float) -> None:
        """Poll each second until Airflow has parsed a DAG; UnreachableError if it has not in time.

        An Airflow that does not respond is an error at once.

        Args:
            dag_id: the DAG.
            timeout: seconds to wait.

        Raises:
            InvalidInputError: when Airflow cannot import the DAG's file.
        """
        deadline = time.monotonic() + timeout
        while self._session.send("GET", f"/dags/{dag_id}").status_code != httpx.codes.OK:
            for broken in self._session.get("/importErrors")["import_errors"]:
                if dag_id in broken["filename"]:
                    raise InvalidInputError(
                        f"Airflow cannot import {broken['filename']}",
                        received=broken["stack_trace"].strip().rpartition("\n")[2],
                    )
            if time.monotonic() > deadline:
                raise UnreachableError(f"Airflow has not parsed {dag_id} within {timeout:.0f} s")
            time.sleep(1)

    def log(self, dag_id: str, run_id: str, task: TaskState, *, lines: int = 20) -> list[str]:
        """Last `lines` lines of the log of a task's latest try."""
        page = self._session.get(
            f"{_run_path(dag_id, run_id)}/taskInstances/{task.task_id}/logs/{task.try_number}",
            map_index=task.map_index,
            full_content=True,
        )
        return log_lines(page["content"])[-lines:]

    def _dag_run(self, entry: dict[str, Any]) -> DagRun:
        dag_id, run_id = entry["dag_id"], entry["dag_run_id"]
        url = f"{self._session.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"
        return DagRun(dag_id, run_id, entry["state"], url, entry.get("conf") or {})


def task_states(entries: list[dict[str, Any]], now: datetime) -> list[TaskState]:
    """Task instances from the API, in order of their start; unstarted tasks come last."""
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
    """Airflow's structured log entries as text lines, with error details."""
    lines = []
    for entry in content:
        if not entry["event"].startswith("::"):
            lines.append(entry["event"])
        for error in entry.get("error_detail") or ():
            lines.append(f"{error['exc_type']}: {error['exc_value']}")
    return lines


def _seconds(entry: dict[str, Any], now: datetime) -> float:
    """Run time of a task, up to `now` while it runs; 0 before it starts."""
    if entry["duration"] is not None:
        return float(entry["duration"])
    if entry["start_date"] is None:
        return 0.0
    return (now - datetime.fromisoformat(entry["start_date"])).total_seconds()


def _run_path(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"
