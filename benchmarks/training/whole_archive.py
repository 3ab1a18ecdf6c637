"""The whole pipeline on the real photographs: times cold and warm, memory, and what came of it.

Takes `blood_cells.zip` of the folder that `TEST_DATA` names, `../shared/data` by default, and the
weights that a new machine takes.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from benchmarks.measure import Row, figure
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import EvaluationManifest, Parity, ServedManifest, VerdictManifest
from pipeline.entrypoints import chain, training
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.promotion.verdict import GateVerdict

_CONFIG = "configs/blood_cells.yaml"


class _Stopwatch:
    """How long each step takes; the steps stand in the order of their first use."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: Callable[..., str], *arguments: object) -> str:
        begun = time.perf_counter()
        result = step(*arguments)
        name = step.__name__
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun
        return result


def rows() -> list[Row]:
    """Train twice on the same archive, the second time with what the first one cached."""
    archive = Path(os.environ.get("TEST_DATA", "../shared/data")).resolve() / "blood_cells.zip"
    if not archive.is_file():
        sys.stderr.write(f"archive: left out, no {archive}; TEST_DATA names its folder\n")
        return []
    with tempfile.TemporaryDirectory(prefix="leukoflow-archive-") as name:
        store = ArtifactStore(LocalStore(), f"{name}/store")
        variables = {
            "LEUKOFLOW_HOME": f"{name}/home",
            "STORE_URI": store.root,
            "MODEL_NAME": "blood_cells",
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }
        with patch.dict(os.environ, variables):
            training.weights()
            cold, warm = _Stopwatch(), _Stopwatch()
            judged = _train(cold, "cold", str(archive))
            _train(warm, "warm", str(archive))
        found = [*_times(cold, "cold"), *_times(warm, "warm")[-1:], _memory()]
        report = store.read(store.open(judged.evaluation, EvaluationManifest), "report.json")
        verdict = store.read(store.open(judged.verdict, VerdictManifest), "verdict.json")
        parity = store.open(judged.served, ServedManifest).manifest.parity
    found += [*_scores(EvaluationReport.model_validate_json(report).scores), _agreement(parity)]
    return [*found, _gate(GateVerdict.model_validate_json(verdict))]


def _train(take: _Stopwatch, run: str, archive: str) -> chain.Judged:
    parts = chain.to_split(_CONFIG, run, [archive], take=take)
    return chain.to_verdict(_CONFIG, run, parts, take)


def _times(watch: _Stopwatch, when: str) -> list[Row]:
    steps = [figure(f"{step}, {when}", took, "s", "") for step, took in watch.seconds.items()]
    total = sum(watch.seconds.values())
    return [*steps, figure(f"archive to verdict, {when}", total / 60, "min", "two cores")]


def _memory() -> Row:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return figure("peak memory of all steps", peak / 1e6, "GB", "in one process")


def _scores(scores: Scores) -> list[Row]:
    described = f"{scores.images} locked images of {scores.cells} cells"
    intervals = {
        "balanced accuracy per image": scores.balanced_accuracy,
        "balanced accuracy per cell": scores.by_cell.balanced_accuracy,
        "calibration error per image": scores.calibration_error,
        "calibration error per cell": scores.by_cell.calibration_error,
        "accuracy of the surest 80 %": scores.review.accuracy_at_80,
    }
    return [
        Row(name=name, value=i.value, low=i.low, high=i.high, unit="", baseline=described)
        for name, i in intervals.items()
    ]


def _agreement(parity: Parity) -> Row:
    loss = f"{parity.images} locked images, {parity.accuracy_loss:.4f} less balanced accuracy"
    name = f"top-1 agreement of the engine at {parity.precision}"
    return figure(name, parity.top1_agreement, "", f"Keras; {loss}")


def _gate(verdict: GateVerdict) -> Row:
    refused = ", ".join(verdict.failed) or "none"
    return figure("checks of the gate", len(verdict.checks), "", f"refused: {refused}")
