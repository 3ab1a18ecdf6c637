"""Runs of `blood_cell_monitoring` on a real Airflow: each tests its data interval, in UTC."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from monitoring.drift.detect import read_window
from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.airflow_session import AirflowSession, require_success
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, EvaluationManifest, WindowManifest
from pipeline.dag_ids import MONITORING
from pipeline.embedded.processes.temporary_parts import running
from pipeline.settings import Settings
from tests.integration.waiting import until
from tests.unit.monitoring.fake_predictions import TAG, FakePredictions

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "hourly"
HOUR = timedelta(hours=1)
FIRST = datetime.now(UTC).replace(minute=17, second=0, microsecond=0) - 30 * HOUR
"""End of the first interval: long enough ago that runs cross midnight and none is of today."""


@dataclass(frozen=True)
class MonitoringStack:
    """A running Airflow and the prediction log of one model in a local store."""

    settings: Settings
    airflow: AirflowClient
    store: ArtifactStore
    predictions: FakePredictions

    def promote(self, folder: Path) -> None:
        """Promote a model, one hour before the end of the first interval."""
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
        PointerStore(self.store.objects, self.store.root, NAME).move(pointer, None)

    def log_predictions(self, hour: float, count: int) -> None:
        """Log predictions made `hour` hours after the end of the first interval."""
        time = FIRST + hour * HOUR
        images = self.predictions.draw(count, 1)
        records = [item.record.model_copy(update={"time": time}) for item in images]
        body = "".join(record.model_dump_json() + "\n" for record in records)
        uri = f"{self.store.root}/logs/{NAME}/{time.date()}/{records[0].request_id}.jsonl"
        self.store.objects.write(uri, body.encode())

    def run_hour(self, hour: int) -> DagRun:
        """The finished run of one interval, whose length the DAG's timetable sets."""
        end = FIRST + hour * HOUR
        body = {"dag_run_id": f"hour-{hour}", "logical_date": end.isoformat()}
        created = self._post(f"/dags/{MONITORING}/dagRuns", {**body, "conf": {"name": NAME}})
        interval = [
            datetime.fromisoformat(created[f"data_interval_{edge}"]) for edge in ("start", "end")
        ]
        assert interval == [end - HOUR, end]
        return self.finish(created["dag_run_id"])

    def run_manually(self, **fields: str) -> DagRun:
        """A finished run that was triggered with form fields."""
        return self.finish(self.airflow.trigger(MONITORING, {"name": NAME, **fields}).run_id)

    def finish(self, run_id: str) -> DagRun:
        """A run, once it has succeeded."""
        until(lambda: self.airflow.run(MONITORING, run_id).finished)
        run = self.airflow.run(MONITORING, run_id)
        assert run.state == "success"
        return run

    def clear(self, run: DagRun) -> None:
        """Clear all tasks of a run, as Airflow's page does; return once the run has finished."""
        before = self.tries(run)
        body = {"dry_run": False, "only_failed": False}
        self._post(f"/dags/{MONITORING}/dagRuns/{quote(run.run_id)}/clear", body)
        until(lambda: self.tries(run) == before + 1)
        self.finish(run.run_id)

    def tries(self, run: DagRun) -> int:
        """Number of tries of the `collect` task of a run."""
        tasks = self.airflow.tasks(MONITORING, run.run_id)
        return max(task.try_number for task in tasks if task.task_id == "collect")

    def window(self, run: DagRun) -> Artifact[WindowManifest]:
        """The window that a run collected."""
        uri = str(self.airflow.returned(MONITORING, run.run_id, "collect"))
        return self.store.open(uri, WindowManifest)

    def count(self, run: DagRun) -> int:
        """Number of predictions in the window of a run."""
        return len(read_window(self.store, self.window(run)))

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        """Response of Airflow's API to a POST as its one user."""
        session = AirflowSession(self.settings)
        return require_success(session.send("POST", path, json=body)).json()


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, prepare_airflow: Callable[[Path], Settings]
) -> Iterator[MonitoringStack]:
    """A running Airflow with the DAGs of this checkout and one promoted model."""
    own = prepare_airflow(tmp_path_factory.mktemp("airflow"))
    with running(own, "airflow-api", "airflow-scheduler", "airflow-dags"):
        airflow = AirflowClient(own)
        airflow.wait_for_dag(MONITORING, 120)
        airflow.unpause(MONITORING)
        stack = MonitoringStack(
            own, airflow, ArtifactStore(LocalStore(), own.store_uri), FakePredictions(seed=3)
        )
        stack.promote(tmp_path_factory.mktemp("evaluation"))
        yield stack


@pytest.mark.field("cleared_run")
def test_a_cleared_run_tests_its_own_interval(stack: MonitoringStack) -> None:
    """Clearing a run uses no images of today and changes no neighbouring or later window."""
    stack.log_predictions(-0.5, 40)
    first = stack.run_hour(0)
    stack.log_predictions(0.5, 20)
    small = stack.run_hour(1)
    stack.log_predictions(1.5, 20)
    both = stack.run_hour(2)
    windows = [stack.window(run) for run in (first, small, both)]
    assert [w.manifest.counts["records"] for w in windows] == [40, 20, 40]
    starts = [FIRST - HOUR, FIRST, FIRST]
    assert [w.manifest.start for w in windows] == starts
    assert [w.manifest.end for w in windows] == [FIRST + n * HOUR for n in range(3)]
    stack.log_predictions(2.5, 35)
    for run, window in ((small, windows[1]), (first, windows[0])):
        stack.clear(run)
        assert stack.window(run) == window
    following = stack.run_hour(3)
    assert stack.count(following) == 35
    assert stack.window(following).manifest.start == FIRST + 2 * HOUR


def test_the_window_of_a_manual_run_ends_at_its_trigger_time(stack: MonitoringStack) -> None:
    """A cleared run keeps its end; `since` and `until` with an offset are converted to UTC."""
    run = stack.run_manually()
    window = stack.window(run)
    assert window.manifest.end > FIRST + 29 * HOUR
    cleared_at = datetime.now(UTC)
    stack.clear(run)
    assert stack.window(run) == window
    assert window.manifest.end < cleared_at
    kiribati = "+14:00"
    begin, end = ((FIRST + h * HOUR + 14 * HOUR).strftime("%FT%T") for h in (-1, 0))
    named = stack.window(stack.run_manually(since=f"{begin}{kiribati}", until=f"{end}{kiribati}"))
    assert named.manifest.counts["records"] == 40
    assert (named.manifest.start, named.manifest.end) == (FIRST - HOUR, FIRST)
