"""Runs of `blood_cell_monitoring` on a real Airflow: each tests its own data interval, in UTC."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from monitoring.drift.detect import read_window
from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, EvaluationManifest, WindowManifest
from pipeline.dag_ids import MONITORING
from pipeline.embedded.processes.foreground import running
from pipeline.settings import Settings
from tests.unit.monitoring.fake_predictions import TAG, FakePredictions

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "hourly"
HOUR = timedelta(hours=1)
FIRST = datetime.now(UTC).replace(minute=17, second=0, microsecond=0) - 30 * HOUR
"""End of the first interval, so long ago that these runs are over midnight and none is today's."""


@dataclass(frozen=True)
class Watch:
    """An Airflow, and a model's log in a local folder."""

    settings: Settings
    airflow: AirflowClient
    store: ArtifactStore
    predictions: FakePredictions

    def promote(self, folder: Path) -> None:
        """A model that was promoted an hour before the first interval's end."""
        lines = [item.model_dump_json() + "\n" for item in self.predictions.draw(40, 4)]
        (folder / "reference.jsonl").write_text("".join(lines))
        manifest = EvaluationManifest(
            name=NAME, run_id="r", code_version="c", created_at=FIRST, tag=TAG
        )
        evaluation = self.store.publish(folder, manifest)
        pointer = Pointer(
            sequence=0, name=NAME, tag=TAG, served="s", evaluation=evaluation.uri, verdict="v",
            author="a", reason="r", time=FIRST - HOUR,
        )  # fmt: skip
        Registry(self.store.objects, self.store.root, NAME).move(pointer, None)

    def answer(self, hour: float, count: int) -> None:
        """Log images answered so many hours after the first interval's end."""
        time = FIRST + hour * HOUR
        images = self.predictions.draw(count, 1)
        records = [item.record.model_copy(update={"time": time}) for item in images]
        body = "".join(record.model_dump_json() + "\n" for record in records)
        uri = f"{self.store.root}/logs/{NAME}/{time.date()}/{records[0].request_id}.jsonl"
        self.store.objects.write(uri, body.encode())

    def hourly(self, hour: int) -> DagRun:
        """The run of an interval, ended; the DAG's timetable says how long the interval is."""
        end = FIRST + hour * HOUR
        body = {"dag_run_id": f"hour-{hour}", "logical_date": end.isoformat()}
        made = self._post(f"/dags/{MONITORING}/dagRuns", {**body, "conf": {"name": NAME}})
        interval = [
            datetime.fromisoformat(made[f"data_interval_{edge}"]) for edge in ("start", "end")
        ]
        assert interval == [end - HOUR, end]
        return self.ended(made["dag_run_id"])

    def by_hand(self, **fields: str) -> DagRun:
        """A run from the form, ended."""
        return self.ended(self.airflow.trigger(MONITORING, {"name": NAME, **fields}).run_id)

    def ended(self, run_id: str) -> DagRun:
        """A run, once it has succeeded."""
        until(lambda: self.airflow.run(MONITORING, run_id).finished)
        run = self.airflow.run(MONITORING, run_id)
        assert run.state == "success"
        return run

    def clear(self, run: DagRun) -> None:
        """All tasks of a run, as a person does it in Airflow's page; returns when it has ended."""
        before = self.tries(run)
        body = {"dry_run": False, "only_failed": False}
        self._post(f"/dags/{MONITORING}/dagRuns/{quote(run.run_id)}/clear", body)
        until(lambda: self.tries(run) == before + 1)
        self.ended(run.run_id)

    def tries(self, run: DagRun) -> int:
        """How often a run's `collect` was started."""
        tasks = self.airflow.tasks(MONITORING, run.run_id)
        return max(task.try_number for task in tasks if task.task_id == "collect")

    def window(self, run: DagRun) -> Artifact[WindowManifest]:
        """What a run collected."""
        uri = str(self.airflow.returned(MONITORING, run.run_id, "collect"))
        return self.store.open(uri, WindowManifest)

    def count(self, run: DagRun) -> int:
        """Predictions in a run's window."""
        return len(read_window(self.store, self.window(run)))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        """What Airflow's API answers to its one user."""
        user, password = self.settings.airflow_user, self.settings.airflow_password
        with httpx.Client(base_url=self.settings.airflow_url, timeout=30) as http:
            login = {"username": user, "password": password.get_secret_value()}
            token = http.post("/auth/token", json=login).json()["access_token"]
            key = {"Authorization": f"Bearer {token}"}
            answer = http.post(f"/api/v2{path}", json=body, headers=key)
        assert answer.is_success, answer.text
        return answer.json()


def until(found: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def watch(
    tmp_path_factory: pytest.TempPathFactory, prepare_airflow: Callable[[Path], Settings]
) -> Iterator[Watch]:
    """A running Airflow with the DAGs of this checkout and one promoted model."""
    own = prepare_airflow(tmp_path_factory.mktemp("airflow"))
    with running(own, "airflow-api", "airflow-scheduler", "airflow-dags"):
        airflow = AirflowClient(own)
        airflow.wait_for_dag(MONITORING, 120)
        airflow.unpause(MONITORING)
        made = Watch(
            own, airflow, ArtifactStore(LocalStore(), own.store_uri), FakePredictions(seed=3)
        )
        made.promote(tmp_path_factory.mktemp("evaluation"))
        yield made


def test_a_cleared_run_tests_its_own_interval(watch: Watch) -> None:
    """Not today's images; and neither its neighbours' windows nor the next run's change."""
    watch.answer(-0.5, 40)
    first = watch.hourly(0)
    watch.answer(0.5, 20)
    small = watch.hourly(1)
    watch.answer(1.5, 20)
    both = watch.hourly(2)
    windows = [watch.window(run) for run in (first, small, both)]
    assert [w.manifest.counts["records"] for w in windows] == [40, 20, 40]
    starts = [FIRST - HOUR, FIRST, FIRST]
    assert [w.manifest.start for w in windows] == starts
    assert [w.manifest.end for w in windows] == [FIRST + n * HOUR for n in range(3)]
    watch.answer(2.5, 35)
    for run, window in ((small, windows[1]), (first, windows[0])):
        watch.clear(run)
        assert watch.window(run) == window
    following = watch.hourly(3)
    assert watch.count(following) == 35
    assert watch.window(following).manifest.start == FIRST + 2 * HOUR


def test_a_run_by_hand_ends_when_it_was_triggered(watch: Watch) -> None:
    """Cleared later, it still does; times with an offset are the same moments in UTC."""
    run = watch.by_hand()
    window = watch.window(run)
    assert window.manifest.end > FIRST + 29 * HOUR
    cleared_at = datetime.now(UTC)
    watch.clear(run)
    assert watch.window(run) == window
    assert window.manifest.end < cleared_at
    kiribati = "+14:00"
    begin, end = ((FIRST + h * HOUR + 14 * HOUR).strftime("%FT%T") for h in (-1, 0))
    named = watch.window(watch.by_hand(since=f"{begin}{kiribati}", until=f"{end}{kiribati}"))
    assert named.manifest.counts["records"] == 40
    assert (named.manifest.start, named.manifest.end) == (FIRST - HOUR, FIRST)
