"""The demo's closing table: every figure is read from an artefact or an answer."""

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
from pipeline.adapters.registry import Pointer
from pipeline.artifacts import VerdictManifest
from pipeline.demo.traffic import Sent
from pipeline.errors import PipelineError
from pipeline.settings import Settings

Rows = list[tuple[str, str]]
Counts = Mapping[str, int]


@dataclass
class Summary:
    """The closing table as it grows, and what failed meanwhile."""

    rows: Rows = field(default_factory=list)
    failures: list[PipelineError] = field(default_factory=list)

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """A part of the demo without which it goes on: when it fails, its row says so."""
        try:
            yield
        except PipelineError as error:
            self.failures.append(error)
            self.rows.append((title, f"failed: {error.message}"))


def data_rows(snapshot: Counts, dataset: Counts, grouping: Counts) -> Rows:
    """Images, cells and what was set aside."""
    return [
        (
            "data",
            f"{dataset['images']} images of {grouping['cells']} cells in "
            f"{grouping['groups']} groups, {dataset['quarantined']} quarantined, "
            f"{snapshot['duplicates']} exact duplicates",
        )
    ]


def reuse_rows(archive: bool, before: int, after: int) -> Rows:
    """What an earlier run had already paid for."""
    said = [f"activations of {before} images were cached, {after - before} were computed"]
    if archive:
        said.append("the archive was in S3")
    return [("reused", "; ".join(said))]


def score_rows(report: Mapping[str, Any]) -> Rows:
    """Balanced accuracy on the locked part, per image and per cell."""
    scores = report["scores"]
    return [
        (
            "held-out score",
            f"balanced accuracy {_interval(scores['balanced_accuracy'])} on {scores['images']} "
            f"images of {scores['cells']} cells; per cell "
            f"{_interval(scores['by_cell']['balanced_accuracy'])}",
        )
    ]


def verdict_rows(store: ArtifactStore, uri: str, pointer: Pointer | None) -> Rows:
    """What the gate said, and what is served: where it refused, the model of an earlier run."""
    artifact = store.open(uri, VerdictManifest)
    checks = json.loads(store.read(artifact, "verdict.json"))["checks"]
    passed = sum(check["passed"] for check in checks)
    word = "passed" if artifact.manifest.passed else "refused"
    return [
        ("gate", f"{word}: {passed} of {len(checks)} checks"),
        ("served", _served(pointer, artifact.manifest.tag)),
    ]


def _served(pointer: Pointer | None, trained: str) -> str:
    if pointer is None:
        return "no model"
    served = f"{pointer.tag}, move {pointer.sequence}"
    if pointer.tag == trained:
        return served
    return f"{served}: an earlier model, which gives the answers below; to it this data may be new"


def served_rows(answered: Sent) -> Rows:
    """One prediction, and how many held-out images were answered rightly over HTTP."""
    if not answered.answers:
        return []
    first, truth = answered.answers[0], answered.labels[0]
    decisions = Counter(answer["decision"] for answer in answered.answers)
    return [
        (
            "prediction",
            f"{first['label']} ({first['probabilities'][first['label']]:.2f}, "
            f"{first['decision']}); the label says {truth}",
        ),
        (
            "over HTTP",
            f"{answered.accuracy:.0%} of {len(answered.labels)} held-out images right, "
            f"{decisions['review']} for review",
        ),
    ]


def drift_rows(title: str, content: str, verdict: Mapping[str, Any]) -> Rows:
    """Content and verdict of one window."""
    said = "; ".join(verdict["reasons"])
    return [(title, f"{verdict['verdict']} (n = {verdict['n']}, {content}): {said}")]


def no_drift_rows(tag: str) -> Rows:
    """Why no window was sent."""
    return [
        (
            "drift",
            f"not shown: every cell was fitted to, or scored on, by {tag}; a window of unseen "
            "cells needs more cells of a class than its train, validation and test parts take",
        )
    ]


def retrain_rows(cancelled: list[str], reason: str) -> Rows:
    """What became of the retrain that was asked for, else why none was."""
    if cancelled:
        return [("retrain", f"cancelled {', '.join(cancelled)}")]
    return [("retrain", f"none was started; {reason}" if reason else "none was started")]


def deployment_rows(said: list[str], unchanged: bool) -> Rows:
    """What the deployment did with the promoted model, else why there was none."""
    none = "unchanged: nothing to deploy" if unchanged else "nothing new to ship"
    return [("deployment", line) for line in said or [none]]


def url_rows(settings: Settings, run: DagRun) -> Rows:
    """Where to look next."""
    return [
        ("page and API", settings.service_url),
        ("Airflow run", run.url),
        ("MLflow", settings.mlflow_tracking_uri),
        ("reports", settings.reports_url),
        (
            "passwords",
            f"{_short(settings.leukoflow_home)}/stack.env (user {settings.airflow_user})",
        ),
    ]


def table(rows: Rows, seconds: float) -> Table:
    """The rows as a table, with the time it all took."""
    shown = Table(title=f"make demo: {seconds:.0f} s", title_justify="left", show_header=False)
    shown.add_column(style="bold", no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in rows:
        shown.add_row(name, value)
    return shown


def _short(path: Path) -> Path:
    """Relative to the working folder where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.3f} (95 % {score['low']:.3f} to {score['high']:.3f})"
