"""The demo's course: stack, archive, training, questions, drift, table."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import (
    DatasetManifest,
    DriftManifest,
    EvaluationManifest,
    GroupingManifest,
    SnapshotManifest,
    SplitManifest,
    VerdictManifest,
)
from pipeline.dag_ids import DEPLOYMENT, MONITORING, TRAINING
from pipeline.demo import data as demo_data
from pipeline.demo import summary, traffic
from pipeline.demo.progress import follow
from pipeline.demo.unseen import Unseen, first_by_hash, unseen
from pipeline.embedded import stack
from pipeline.errors import UnreachableError
from pipeline.settings import Settings, load_settings

CONFIG = "configs/demo.yaml"
NAME = "demo"
WINDOW = 64
"""Images in each of the two drift windows, at most."""
_TRAINING_SECONDS, _MONITORING_SECONDS, _TEARDOWN_SECONDS = 3600.0, 900.0, 180.0


@dataclass(frozen=True)
class _Demo:
    settings: Settings
    store: ArtifactStore
    client: AirflowClient
    console: Console

    @property
    def key(self) -> str:
        """What the service asks for, if it asks."""
        return self.settings.service_api_key.get_secret_value()


def run_demo(console: Console, *, data: Path | None, limit: int) -> None:
    """Run the loop and print its table; the stack stays up.

    Args:
        console: where progress goes.
        data: an archive of folders named by class, or None for the drawn sample.
        limit: images per class, 0 for all.

    Raises:
        PipelineError: when there is no verdict on a model; or, after the table, the first of what
            failed later.
    """
    start = time.monotonic()
    demo = _begin(console)
    archive = demo_data.prepare_archive(data, demo.settings.leukoflow_home)
    uri, reused = demo_data.upload(archive, NAME, demo.store)
    console.print(f"archive: {uri}" + (" (was there already)" if reused else ""))
    cached = _cached(demo.store)
    shipped = {run.run_id for run in demo.client.runs(DEPLOYMENT)}
    trained = _train(demo, uri, limit)
    pointer = Registry(demo.store.objects, demo.store.root, NAME).read()
    said = summary.Summary(summary.data_rows(*_data(demo, trained)))
    said.rows += summary.reuse_rows(reused, cached, _cached(demo.store))
    said.rows += _judged(demo, trained, pointer)
    if pointer is not None:
        _serve_and_watch(demo, trained, pointer, said, drawn=data is None)
    with said.part("deployment"):
        said.rows += _ship(demo, shipped, unchanged=_unchanged(demo, trained, pointer))
    said.rows += summary.url_rows(demo.settings, trained)
    console.print(summary.table(said.rows, time.monotonic() - start))
    if said.failures:
        raise said.failures[0]


def _begin(console: Console) -> _Demo:
    settings = load_settings()
    wanted = settings.model_copy(update={"model_name": NAME})
    if settings.model_name != NAME and stack.find_supervisor(settings.leukoflow_home.resolve()):
        console.print(f"the stack serves {settings.model_name}; starting it anew for {NAME}")
        stack.down(settings)
    complete = stack.up(wanted, console)
    client = AirflowClient(complete)
    for dag_id in (TRAINING, MONITORING, DEPLOYMENT):
        client.wait_for_dag(dag_id, timeout=120)
        client.unpause(dag_id)
    return _Demo(complete, ArtifactStore(UriStore(complete), complete.store_uri), client, console)


def _train(demo: _Demo, archive: str, limit: int) -> DagRun:
    conf = {"archives": [archive], "limit": limit, "config": CONFIG, "reason": "make demo"}
    run = demo.client.trigger(TRAINING, conf)
    return follow(demo.client, run, demo.console, timeout=_TRAINING_SECONDS)


def _result(demo: _Demo, run: DagRun, task: str) -> str:
    return str(demo.client.returned(run.dag_id, run.run_id, task))


def _data(demo: _Demo, run: DagRun) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Counts of the snapshot, the dataset and the grouping."""
    store = demo.store
    return (
        store.open(_result(demo, run, "ingest"), SnapshotManifest).manifest.counts,
        store.open(_result(demo, run, "validate"), DatasetManifest).manifest.counts,
        store.open(_result(demo, run, "group"), GroupingManifest).manifest.counts,
    )


def _judged(demo: _Demo, run: DagRun, pointer: Pointer | None) -> summary.Rows:
    """Score and verdict of the trained model, and what is served now."""
    evaluation = demo.store.open(_result(demo, run, "evaluate"), EvaluationManifest)
    rows = summary.score_rows(json.loads(demo.store.read(evaluation, "report.json")))
    return rows + summary.verdict_rows(demo.store, _result(demo, run, "gate"), pointer)


def _cached(store: ArtifactStore) -> int:
    """Images whose activations are in the cache."""
    return sum(
        json.loads(store.objects.read(item.uri))["counts"]["images"]
        for item in store.objects.list(f"{store.root}/pack/")
        if item.uri.endswith("/manifest.json")
    )


def _serve_and_watch(
    demo: _Demo, trained: DagRun, pointer: Pointer, said: summary.Summary, *, drawn: bool
) -> None:
    """Ask the service about held-out cells, then show a quiet and a shifted window."""
    split = demo.store.open(_result(demo, trained, "split"), SplitManifest)
    tested = [record for record in demo.store.records(split) if record.part == "test"]
    url, key, held = demo.settings.service_url, demo.key, first_by_hash(tested, WINDOW)
    with said.part("prediction"):
        traffic.wait_for_model(url, pointer.tag, key)
        demo.console.print(f"asking the service about {len(held)} held-out images")
        sent = traffic.send(url, traffic.stored(demo.store, held), key)
        said.rows += summary.served_rows(sent)
    with said.part("drift"):
        shown = unseen(split, pointer.served, WINDOW, demo.store)
        if shown.records:
            _show_drift(demo, shown, said, drawn)
        else:
            said.rows += summary.no_drift_rows(pointer.tag)


def _show_drift(demo: _Demo, shown: Unseen, said: summary.Summary, drawn: bool) -> None:
    """A window of unseen cells, one of another laboratory, and what the second one asks for."""
    url, before = demo.settings.service_url, {run.run_id for run in demo.client.runs(TRAINING)}
    records = shown.records
    null = traffic.send(url, traffic.stored(demo.store, records), demo.key)
    shift = traffic.send(url, traffic.shifted(demo.store, records, drawn), demo.key)
    shifted = traffic.shifted_title(len(records), drawn)
    windows = (("null window", str(shown), null), ("shifted window", shifted, shift))
    for title, content, sent in windows:
        reason = ""
        with said.part(title):
            traffic.wait_for_log(demo.store, NAME, sent)
            verdict, reason = _watch(demo, sent)
            said.rows += summary.drift_rows(title, content, verdict)
    with said.part("retrain"):
        said.rows += summary.retrain_rows(_stop_retrain(demo, before), reason)


def _watch(demo: _Demo, sent: traffic.Sent) -> tuple[dict[str, Any], str]:
    """Monitor a window: its verdict, and why the policy decided as it did."""
    conf = {"name": NAME, "since": sent.since.isoformat(), "until": sent.until.isoformat()}
    run = demo.client.trigger(MONITORING, conf)
    done = follow(demo.client, run, demo.console, timeout=_MONITORING_SECONDS)
    drift = demo.store.open(_result(demo, done, "detect"), DriftManifest)
    verdict: dict[str, Any] = json.loads(demo.store.read(drift, "drift.json"))
    decision = json.loads(demo.store.objects.read(_result(demo, done, "decide")))
    return verdict, str(decision["reason"])


def _unchanged(demo: _Demo, trained: DagRun, pointer: Pointer | None) -> bool:
    """Whether a training gave the model that served before it."""
    tag = demo.store.open(_result(demo, trained, "gate"), VerdictManifest).manifest.tag
    return pointer is not None and pointer.tag == tag and pointer.run_id != trained.run_id


def _ship(demo: _Demo, before: set[str], *, unchanged: bool) -> summary.Rows:
    """Wait until what the promotion set off has ended, so that nothing is left running."""
    ended = [
        follow(demo.client, run, demo.console, timeout=_MONITORING_SECONDS)
        for run in demo.client.runs(DEPLOYMENT)
        if run.run_id not in before
    ]
    return summary.deployment_rows([_result(demo, run, "image") for run in ended], unchanged)


def _stop_retrain(demo: _Demo, before: set[str]) -> list[str]:
    """Cancel the retrain that the demo's traffic caused; nobody else's run is touched.

    Args:
        demo: where.
        before: ids of the training runs there were before the windows were looked at.
    """
    asked = f"{demo.store.root}/retrain/{NAME}/"
    caused = [
        run
        for run in demo.client.runs(TRAINING)
        if run.run_id not in before and str(run.conf.get("request", "")).startswith(asked)
    ]
    for run in caused:
        demo.client.cancel(run.dag_id, run.run_id)
        _await_teardown(demo, run)
    return [run.run_id for run in caused]


def _await_teardown(demo: _Demo, run: DagRun) -> None:
    """Wait until a cancelled training has closed its request: that comes after the run's end."""
    deadline = time.monotonic() + _TEARDOWN_SECONDS
    while not any(
        task.task_id == "close_request" and task.state in ("success", "failed", "skipped")
        for task in demo.client.tasks(run.dag_id, run.run_id)
    ):
        if time.monotonic() > deadline:
            raise UnreachableError(
                "a cancelled training does not close its request",
                expected=f"close_request of {run.run_id} to end within {_TEARDOWN_SECONDS} s",
            )
        time.sleep(1)
