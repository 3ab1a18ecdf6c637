"""Closing table of the demo; every number comes from an artefact or a response."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from pipeline.adapters.airflow import DagRun
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.artifacts import VerdictManifest
from pipeline.demo.traffic import Traffic
from pipeline.errors import PipelineError
from pipeline.settings import Settings

Rows = list[tuple[str, str]]
Counts = Mapping[str, int]


@dataclass
class Summary:
    """Rows of the closing table so far, and the errors of failed sections."""

    rows: Rows = field(default_factory=list)
    failures: list[PipelineError] = field(default_factory=list)

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        """Run a section: a PipelineError becomes a row of the table, and the demo continues."""
        try:
            yield
        except PipelineError as error:
            self.failures.append(error)
            self.rows.append((title, f"failed: {error.message}"))


def data_rows(snapshot: Counts, dataset: Counts, grouping: Counts) -> Rows:
    """Number of images, cells, groups, quarantined images and duplicates."""
    text = (
        f"{dataset['images']} images of {grouping['cells']} cells in "
        f"{grouping['groups']} groups, {dataset['quarantined']} quarantined, "
        f"{snapshot['duplicates']} exact duplicates"
    )
    return [("data", text)]


def reuse_rows(archive: bool, before: int, after: int) -> Rows:
    """Numbers of reused and computed activations, and whether the archive was in S3 already."""
    reused = f"activations of {before} images were cached, {after - before} were computed"
    return [("reused", f"{reused}; the archive was already in S3" if archive else reused)]


def score_rows(report: Mapping[str, Any]) -> Rows:
    """Balanced accuracy on the locked test part, per image and per cell."""
    scores = report["scores"]
    text = (
        f"balanced accuracy {_interval(scores['balanced_accuracy'])} on {scores['images']} images "
        f"of {scores['cells']} cells; per cell "
        f"{_interval(scores['by_cell']['balanced_accuracy'])}"
    )
    return [("held-out score", text)]


def verdict_rows(store: ArtifactStore, uri: str, pointer: Pointer | None) -> Rows:
    """Verdict of the gate on the trained model, and the champion."""
    artifact = store.open(uri, VerdictManifest)
    checks = json.loads(store.read(artifact, "verdict.json"))["checks"]
    passed = sum(check["passed"] for check in checks)
    word = "passed" if artifact.manifest.passed else "refused"
    return [
        ("gate", f"{word}: {passed} of {len(checks)} checks"),
        ("served", _champion_text(pointer, artifact.manifest.tag)),
    ]


def _champion_text(pointer: Pointer | None, trained: str) -> str:
    """The champion as text, and whether it is of an earlier run."""
    if pointer is None:
        return "no model"
    served = f"{pointer.tag} (pointer sequence {pointer.sequence})"
    if pointer.tag == trained:
        return served
    return (
        f"{served}: the model of an earlier run makes the predictions below; "
        "this data may be new to it"
    )


def served_rows(traffic: Traffic) -> Rows:
    """The first prediction, and the accuracy on held-out images; no row without predictions."""
    if not traffic.predictions:
        return []
    first, truth = traffic.predictions[0], traffic.labels[0]
    decisions = Counter(prediction["decision"] for prediction in traffic.predictions)
    return [
        (
            "prediction",
            f"{first['label']} ({first['probabilities'][first['label']]:.2f}, "
            f"{first['decision']}); true label: {truth}",
        ),
        (
            "over HTTP",
            f"{traffic.accuracy:.0%} of {len(traffic.labels)} held-out images correct, "
            f"{decisions['review']} for review",
        ),
    ]


def drift_rows(title: str, content: str, result: Mapping[str, Any]) -> Rows:
    """Drift test of one window: verdict, number of images, `content` (what was sent), reasons."""
    reasons = "; ".join(result["reasons"])
    return [(title, f"{result['verdict']} (n = {result['n']}, {content}): {reasons}")]


def no_drift_rows(tag: str) -> Rows:
    """Why no drift window was sent: the champion was trained or evaluated on every cell."""
    text = (
        f"not shown: {tag} was trained or evaluated on every cell; a window of unseen cells "
        "needs a class with more cells than its train, validation and test parts take"
    )
    return [("drift", text)]


def retrain_rows(cancelled: list[str], reason: str) -> Rows:
    """Ids of the cancelled retrains, else the policy's reason for starting none."""
    if cancelled:
        return [("retrain", f"cancelled {', '.join(cancelled)}")]
    return [("retrain", f"not started: {reason}" if reason else "not started")]


def deployment_rows(results: list[str], unchanged: bool) -> Rows:
    """Results of the deployment runs, else the reason why there was none."""
    none = "unchanged: nothing to deploy" if unchanged else "nothing new to deploy"
    return [("deployment", line) for line in results or [none]]


def url_rows(settings: Settings, run: DagRun) -> Rows:
    """Addresses to open next, and the file with the passwords."""
    home, cwd = settings.leukoflow_home, Path.cwd()
    home = home.relative_to(cwd) if home.is_relative_to(cwd) else home
    return [
        ("page and API", settings.service_url),
        ("Airflow run", run.url),
        ("MLflow", settings.mlflow_tracking_uri),
        ("reports", settings.reports_url),
        ("passwords", f"{home}/stack.env (user {settings.airflow_user})"),
    ]


def table(rows: Rows, seconds: float) -> Table:
    """The rows as a table for the terminal, with the demo's total time."""
    rendered = Table(title=f"make demo: {seconds:.0f} s", title_justify="left", show_header=False)
    rendered.add_column(style="bold", no_wrap=True)
    rendered.add_column(overflow="fold")
    for name, value in rows:
        rendered.add_row(name, value)
    return rendered


def _interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.3f} (95 % {score['low']:.3f} to {score['high']:.3f})"
