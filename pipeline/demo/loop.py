"""The demo's course: stack, archive, training, questions, drift, table."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from pipeline.adapters.airflow import AirflowClient, DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Registry
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import (
    DatasetManifest,
    DriftManifest,
    EvaluationManifest,
    GroupingManifest,
    Record,
    SnapshotManifest,
    SplitManifest,
)
from pipeline.demo import data as demo_data
from pipeline.demo import summary, traffic
from pipeline.demo.progress import follow
from pipeline.embedded import stack
from pipeline.settings import Settings, load_settings

CONFIG = "configs/demo.yaml"
NAME = "demo"
TRAINING, MONITORING = "blood_cell_training", "blood_cell_monitoring"
DEPLOYMENT = "blood_cell_deployment"
WINDOW = 64
"""Images in each of the two drift windows, at most."""
_TRAINING_SECONDS, _MONITORING_SECONDS, _REQUEST_SECONDS = 3600.0, 900.0, 60.0
_BY_ASSET = "asset_triggered__"


@dataclass(frozen=True)
class _Demo:
    settings: Settings
    store: ArtifactStore
    client: AirflowClient
    console: Console


def run_demo(console: Console, *, data: Path | None, limit: int) -> None:
    """Run the loop and print its table; the stack stays up.

    Args:
        console: where progress goes.
        data: an archive of folders named by class, or None for the drawn sample.
        limit: images per class, 0 for all.
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
    judged = _result(demo, trained, "gate")
    rows = summary.data_rows(*_data(demo, trained))
    rows += summary.reuse_rows(reused, cached, _cached(demo.store))
    evaluation = demo.store.open(_result(demo, trained, "evaluate"), EvaluationManifest)
    rows += summary.score_rows(json.loads(demo.store.read(evaluation, "report.json")))
    rows += summary.verdict_rows(demo.store, judged, pointer)
    if pointer is not None:
        traffic.wait_for_model(demo.settings.service_url, pointer.tag)
        rows += _serve_and_watch(demo, trained, drawn=data is None)
    rows += _ship(demo, shipped)
    rows += summary.url_rows(demo.settings, trained)
    console.print(summary.table(rows, time.monotonic() - start))


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


def _cached(store: ArtifactStore) -> int:
    """Images whose activations are in the cache."""
    return sum(
        json.loads(store.objects.read(item.uri))["counts"]["images"]
        for item in store.objects.list(f"{store.root}/pack/")
        if item.uri.endswith("/manifest.json")
    )


def _serve_and_watch(demo: _Demo, trained: DagRun, *, drawn: bool) -> summary.Rows:
    """Ask the service about held-out cells, then show a quiet and a shifted window."""
    split = demo.store.open(_result(demo, trained, "split"), SplitManifest)
    records = demo.store.records(split)
    url = demo.settings.service_url
    held = _some(records, "test")
    demo.console.print(f"asking the service about {len(held)} held-out images")
    answered = traffic.send(url, traffic.stored(demo.store, held))
    unseen = _some(records, "val")
    null = traffic.send(url, traffic.stored(demo.store, unseen))
    shift = traffic.send(url, traffic.shifted(demo.store, unseen, drawn))
    windows, before, asked = {}, {run.run_id for run in demo.client.runs(TRAINING)}, False
    for title, sent in (("null window", null), ("shifted window", shift)):
        traffic.wait_for_log(demo.store, NAME, sent)
        windows[title], requested = _watch(demo, sent)
        asked |= requested
    started = _stop_retrain(demo, before) if asked else []
    return summary.served_rows(answered) + summary.drift_rows(windows, started)


def _some(records: list[Record], part: str) -> list[Record]:
    """Up to WINDOW records of a part, spread over its cells by hash."""
    return sorted((r for r in records if r.part == part), key=lambda r: r.sha256)[:WINDOW]


def _watch(demo: _Demo, sent: traffic.Sent) -> tuple[dict[str, Any], bool]:
    """Monitor a window: its verdict, and whether a retrain was requested."""
    conf = {"name": NAME, "since": sent.since.isoformat(), "until": sent.until.isoformat()}
    run = demo.client.trigger(MONITORING, conf)
    done = follow(demo.client, run, demo.console, timeout=_MONITORING_SECONDS)
    drift = demo.store.open(_result(demo, done, "detect"), DriftManifest)
    verdict: dict[str, Any] = json.loads(demo.store.read(drift, "drift.json"))
    decision = json.loads(demo.store.objects.read(_result(demo, done, "decide")))
    return verdict, bool(decision["requested"])


def _ship(demo: _Demo, before: set[str]) -> summary.Rows:
    """Wait until what the promotion set off has ended, so that nothing is left running."""
    ended = [
        follow(demo.client, run, demo.console, timeout=_MONITORING_SECONDS)
        for run in demo.client.runs(DEPLOYMENT)
        if run.run_id not in before
    ]
    return summary.deployment_rows([_result(demo, run, "image") for run in ended])


def _stop_retrain(demo: _Demo, before: set[str]) -> list[str]:
    """Cancel the retrain that a request of the demo's started; nobody else's run is touched.

    Args:
        demo: where.
        before: ids of the training runs there were before the request.
    """
    deadline = time.monotonic() + _REQUEST_SECONDS
    while time.monotonic() < deadline:
        caused = [
            run
            for run in demo.client.runs(TRAINING)
            if run.run_id not in before and run.run_id.startswith(_BY_ASSET)
        ]
        for run in caused:
            demo.client.cancel(run.dag_id, run.run_id)
        if caused:
            return [run.run_id for run in caused]
        time.sleep(1)
    return []
