"""Run the demo: start the stack, upload, train, predict, monitor, print the closing table."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
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
from pipeline.demo import archive_upload, summary, traffic
from pipeline.demo.progress import follow
from pipeline.demo.unseen_images import UnseenImages, first_by_hash, select_unseen
from pipeline.embedded import stack
from pipeline.errors import UnreachableError
from pipeline.settings import Settings, load_settings

CONFIG = "configs/demo.yaml"
NAME = "demo"
MAX_WINDOW_IMAGES = 64
"""Maximum number of images in each of the two drift windows."""
_TRAINING_SECONDS, _MONITORING_SECONDS, _TEARDOWN_SECONDS = 3600.0, 900.0, 180.0


@dataclass(frozen=True)
class _Demo:
    """Settings and clients of one demo run."""

    settings: Settings
    store: ArtifactStore
    client: AirflowClient
    console: Console

    @property
    def key(self) -> str:
        """API key for the service; empty if it requires none."""
        return self.settings.service_api_key.get_secret_value()


def run_demo(console: Console, *, data: Path | None, limit: int) -> None:
    """Run the whole demo and print the closing table; starts the stack and leaves it up.

    Args:
        console: output for progress and table.
        data: archive with a folder per class, or None for the drawn sample.
        limit: maximum number of images per class; 0 for all.

    Raises:
        PipelineError: training ended without a verdict; or, after the table was printed, the first
            error of a later section.
    """
    start = time.monotonic()
    demo = _start_stack(console)
    archive = archive_upload.prepare_archive(data, demo.settings.leukoflow_home)
    uri, reused = archive_upload.upload(archive, NAME, demo.store)
    console.print(f"archive: {uri}" + (" (already in S3)" if reused else ""))
    cached = _count_cached(demo.store)
    deployed = {run.run_id for run in demo.client.runs(DEPLOYMENT)}
    trained = _train(demo, uri, limit)
    pointer = PointerStore(demo.store.objects, demo.store.root, NAME).read()
    report = summary.Summary(summary.data_rows(*_data_counts(demo, trained)))
    report.rows += summary.reuse_rows(reused, cached, _count_cached(demo.store))
    report.rows += _verdict_rows(demo, trained, pointer)
    if pointer is not None:
        _predict_and_monitor(demo, trained, pointer, report, drawn=data is None)
    with report.section("deployment"):
        report.rows += _await_deployment(
            demo, deployed, unchanged=_reproduced_champion(demo, trained, pointer)
        )
    report.rows += summary.url_rows(demo.settings, trained)
    console.print(summary.table(report.rows, time.monotonic() - start))
    if report.failures:
        raise report.failures[0]


def _start_stack(console: Console) -> _Demo:
    """Start the stack for the demo, after stopping one of another model; unpause the DAGs."""
    settings = load_settings()
    for_demo = settings.model_copy(update={"model_name": NAME})
    if settings.model_name != NAME and stack.find_supervisor(settings.leukoflow_home.resolve()):
        console.print(f"the stack serves {settings.model_name}; restarting it for {NAME}")
        stack.down(settings)
    complete = stack.up(for_demo, console)
    client = AirflowClient(complete)
    for dag_id in (TRAINING, MONITORING, DEPLOYMENT):
        client.wait_for_dag(dag_id, timeout=120)
        client.unpause(dag_id)
    return _Demo(complete, ArtifactStore(UriStore(complete), complete.store_uri), client, console)


def _train(demo: _Demo, archive: str, limit: int) -> DagRun:
    """Trigger the training DAG and follow it to its end, up to an hour; raises as `follow`."""
    conf = {"archives": [archive], "limit": limit, "config": CONFIG, "reason": "make demo"}
    run = demo.client.trigger(TRAINING, conf)
    return follow(demo.client, run, demo.console, timeout=_TRAINING_SECONDS)


def _result(demo: _Demo, run: DagRun, task: str) -> str:
    """Return value of a task in a finished run: a URI, or for `image` a sentence."""
    return str(demo.client.returned(run.dag_id, run.run_id, task))


def _data_counts(demo: _Demo, run: DagRun) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Numbers of images, from the manifests of a run's snapshot, dataset and grouping."""
    store = demo.store
    return (
        store.open(_result(demo, run, "ingest"), SnapshotManifest).manifest.counts,
        store.open(_result(demo, run, "validate"), DatasetManifest).manifest.counts,
        store.open(_result(demo, run, "group"), GroupingManifest).manifest.counts,
    )


def _verdict_rows(demo: _Demo, run: DagRun, pointer: Pointer | None) -> summary.Rows:
    """Rows for the score and verdict of the trained model, and for the champion."""
    evaluation = demo.store.open(_result(demo, run, "evaluate"), EvaluationManifest)
    rows = summary.score_rows(json.loads(demo.store.read(evaluation, "report.json")))
    return rows + summary.verdict_rows(demo.store, _result(demo, run, "gate"), pointer)


def _count_cached(store: ArtifactStore) -> int:
    """Number of images whose activations are in the cache."""
    return sum(
        json.loads(store.objects.read(item.uri))["counts"]["images"]
        for item in store.objects.list(f"{store.root}/pack/")
        if item.uri.endswith("/manifest.json")
    )


def _predict_and_monitor(
    demo: _Demo, trained: DagRun, pointer: Pointer, report: summary.Summary, *, drawn: bool
) -> None:
    """Send held-out images, then two drift windows; adds rows, also for failed sections."""
    split = demo.store.open(_result(demo, trained, "split"), SplitManifest)
    tested = [record for record in demo.store.records(split) if record.part == "test"]
    url, key = demo.settings.service_url, demo.key
    held_out = first_by_hash(tested, MAX_WINDOW_IMAGES)
    with report.section("prediction"):
        traffic.wait_for_model(url, pointer.tag, key)
        demo.console.print(f"classifying {len(held_out)} held-out images through the service")
        predicted = traffic.send(url, traffic.labelled_images(demo.store, held_out), key)
        report.rows += summary.served_rows(predicted)
    with report.section("drift"):
        cells = select_unseen(split, pointer.served, MAX_WINDOW_IMAGES, demo.store)
        if cells.records:
            _show_drift(demo, cells, report, drawn)
        else:
            report.rows += summary.no_drift_rows(pointer.tag)


def _show_drift(demo: _Demo, cells: UnseenImages, report: summary.Summary, drawn: bool) -> None:
    """Send a window without drift and one with drift, monitor both, cancel requested retrains."""
    url, before = demo.settings.service_url, {run.run_id for run in demo.client.runs(TRAINING)}
    records = cells.records
    null = traffic.send(url, traffic.labelled_images(demo.store, records), demo.key)
    shift = traffic.send(url, traffic.shifted_images(demo.store, records, drawn), demo.key)
    shifted = traffic.shifted_title(len(records), drawn)
    windows = (("null window", str(cells), null), ("shifted window", shifted, shift))
    for title, content, sent in windows:
        reason = ""
        with report.section(title):
            traffic.wait_for_log(demo.store, NAME, sent)
            result, reason = _monitor(demo, sent)
            report.rows += summary.drift_rows(title, content, result)
    with report.section("retrain"):
        report.rows += summary.retrain_rows(_cancel_retrains(demo, before), reason)


def _monitor(demo: _Demo, sent: traffic.Traffic) -> tuple[dict[str, Any], str]:
    """Run the monitoring DAG on a window to its end; returns drift result and policy's reason."""
    conf = {"name": NAME, "since": sent.since.isoformat(), "until": sent.until.isoformat()}
    run = demo.client.trigger(MONITORING, conf)
    done = follow(demo.client, run, demo.console, timeout=_MONITORING_SECONDS)
    drift = demo.store.open(_result(demo, done, "detect"), DriftManifest)
    result: dict[str, Any] = json.loads(demo.store.read(drift, "drift.json"))
    decision = json.loads(demo.store.objects.read(_result(demo, done, "decide")))
    return result, str(decision["reason"])


def _reproduced_champion(demo: _Demo, trained: DagRun, pointer: Pointer | None) -> bool:
    """Whether training gave the same model as the champion, which an earlier run promoted."""
    tag = demo.store.open(_result(demo, trained, "gate"), VerdictManifest).manifest.tag
    return pointer is not None and pointer.tag == tag and pointer.run_id != trained.run_id


def _await_deployment(demo: _Demo, before: set[str], *, unchanged: bool) -> summary.Rows:
    """Follow each deployment run that is not in `before` to its end; returns their rows."""
    finished = [
        follow(demo.client, run, demo.console, timeout=_MONITORING_SECONDS)
        for run in demo.client.runs(DEPLOYMENT)
        if run.run_id not in before
    ]
    return summary.deployment_rows([_result(demo, run, "image") for run in finished], unchanged)


def _cancel_retrains(demo: _Demo, before: set[str]) -> list[str]:
    """Cancel the retrains that the demo's windows requested; returns their run ids.

    Waits up to 180 s for each to end.

    Args:
        demo: the demo.
        before: ids of the training runs that existed before the windows were monitored.
    """
    requests = f"{demo.store.root}/retrain/{NAME}/"
    caused = [
        run
        for run in demo.client.runs(TRAINING)
        if run.run_id not in before and str(run.conf.get("request", "")).startswith(requests)
    ]
    for run in caused:
        demo.client.cancel(run.dag_id, run.run_id)
        _await_teardown(demo, run)
    return [run.run_id for run in caused]


def _await_teardown(demo: _Demo, run: DagRun) -> None:
    """Poll until `close_request` of a cancelled run has ended; UnreachableError after 180 s."""
    deadline = time.monotonic() + _TEARDOWN_SECONDS
    while not any(
        task.task_id == "close_request" and task.state in ("success", "failed", "skipped")
        for task in demo.client.tasks(run.dag_id, run.run_id)
    ):
        if time.monotonic() > deadline:
            raise UnreachableError(
                "the cancelled training run did not close its retrain request",
                expected=f"close_request of {run.run_id} to end within {_TEARDOWN_SECONDS} s",
            )
        time.sleep(1)
