"""The whole pipeline on real photographs: times with cold and warm caches, memory, and scores.

Reads `blood_cells.zip` in the folder `TEST_DATA` (default `../shared/data`); downloads the weights.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.isolated_settings import isolated_settings
from benchmarks.measure import Row, interval_row, single_row
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import EvaluationManifest, Parity, ServedManifest, VerdictManifest
from pipeline.entrypoints import chain, training
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.scoring import Scores
from pipeline.steps.promotion.verdict import GateVerdict

_CONFIG = "configs/blood_cells.yaml"


class _Stopwatch:
    """Calls a step and adds up its seconds, by step in the order of first use."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, step: Callable[..., str], *arguments: object) -> str:
        start = time.perf_counter()
        result = step(*arguments)
        name = step.__name__
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
        return result


def rows() -> list[Row]:
    """Train twice on the same archive, the second time with the caches of the first."""
    archive = Path(os.environ.get("TEST_DATA", "../shared/data")).resolve() / "blood_cells.zip"
    if not archive.is_file():
        sys.stderr.write(f"archive: skipped, {archive} not found; set TEST_DATA to its folder\n")
        return []
    with tempfile.TemporaryDirectory(prefix="leukoflow-archive-") as name:
        store = ArtifactStore(LocalStore(), f"{name}/store")
        with isolated_settings(Path(name) / "home", store.root, "blood_cells"):
            training.weights()
            cold, warm = _Stopwatch(), _Stopwatch()
            judged = _train(cold, "cold", str(archive))
            _train(warm, "warm", str(archive))
        rows = [*_times(cold, "cold"), *_times(warm, "warm")[-1:], _memory()]
        report = store.read(store.open(judged.evaluation, EvaluationManifest), "report.json")
        verdict = store.read(store.open(judged.verdict, VerdictManifest), "verdict.json")
        parity = store.open(judged.served, ServedManifest).manifest.parity
    rows += [*_scores(EvaluationReport.model_validate_json(report).scores), _agreement(parity)]
    return [*rows, _gate(GateVerdict.model_validate_json(verdict))]


def _train(take: _Stopwatch, run: str, archive: str) -> chain.Judged:
    """Run all steps from the archive to the verdict, timing each."""
    parts = chain.to_split(_CONFIG, run, [archive], run_step=take)
    return chain.to_verdict(_CONFIG, run, parts, take)


def _times(watch: _Stopwatch, caches: str) -> list[Row]:
    """Seconds of each step, then of all steps together."""
    steps = [
        single_row(f"{step}, {caches}", seconds, "s", "") for step, seconds in watch.seconds.items()
    ]
    total = sum(watch.seconds.values())
    return [*steps, single_row(f"archive to verdict, {caches}", total / 60, "min", "two cores")]


def _memory() -> Row:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return single_row("peak memory", peak / 1e6, "GB", "all steps in one process")


def _scores(scores: Scores) -> list[Row]:
    baseline = f"{scores.images} locked images of {scores.cells} cells"
    intervals = {
        "balanced accuracy per image": scores.balanced_accuracy,
        "balanced accuracy per cell": scores.by_cell.balanced_accuracy,
        "calibration error per image": scores.calibration_error,
        "calibration error per cell": scores.by_cell.calibration_error,
        "accuracy of the most certain 80 %": scores.review.accuracy_at_80,
    }
    return [interval_row(name, interval, "", baseline) for name, interval in intervals.items()]


def _agreement(parity: Parity) -> Row:
    """Top-1 agreement of the serving engine with Keras."""
    loss = f"{parity.images} locked images, {parity.accuracy_loss:.4f} less balanced accuracy"
    name = f"top-1 agreement of the engine at {parity.precision}"
    return single_row(name, parity.top1_agreement, "", f"Keras; {loss}")


def _gate(verdict: GateVerdict) -> Row:
    """Number of the gate's checks, and the names of those that failed."""
    refused = ", ".join(verdict.failed) or "none"
    return single_row("checks of the gate", len(verdict.checks), "", f"refused: {refused}")
