"""Log a training to its MLflow run: parameters, environment, metrics, figures and models."""

import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.tracking.models import MlflowModels
from pipeline.adapters.tracking.runs import Tracking
from pipeline.artifacts import Artifact, BundleManifest
from pipeline.config.run_config import RunConfig
from pipeline.steps.evaluation.evaluate import Evaluated
from pipeline.steps.evaluation.evaluation_report import EvaluationReport
from pipeline.steps.evaluation.scoring import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL_REQUIREMENTS = ["tensorflow", "keras", "numpy"]


def parameters(config: RunConfig) -> dict[str, Any]:
    """Every field of a config, flattened to `section.field`, for MLflow."""
    return {
        f"{section}.{field}": value
        for section, fields in config.model_dump(mode="json").items()
        for field, value in fields.items()
    }


def environment() -> str:
    """All installed packages with versions, one per line."""
    packages = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    return "\n".join(sorted(packages, key=str.lower)) + "\n"


def track_evaluation(
    tracking: Tracking,
    run: str,
    bundle: Artifact[BundleManifest],
    evaluated: Evaluated,
    *,
    store: ArtifactStore,
) -> None:
    """Log metrics, report and models to an MLflow run and end the run, unless it is finished.

    When the training gave the bundle of an earlier run, the run links the models of that run as
    inputs instead of logging them again.
    """
    if tracking.status(run) == "FINISHED":
        return
    served, scores = evaluated.served, evaluated.report.scores
    bundle_run = served.manifest.tracking_run
    models = MlflowModels(tracking.uri, tracking.experiment)
    tracking.set_tags(run, {"tag": served.manifest.tag, "bundle_of_run": bundle_run})
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(served, Path(folder) / "served")
        model = models.log(run, served.manifest.tag, files)
        tracking.log_metrics(run, _metrics(evaluated.report), model_id=model)
        tracking.log_figure(run, confusion_figure(scores), "confusion_matrix.png")
        tracking.log_table(run, _confusion_table(scores), "confusion_matrix.json")
        report = store.fetch(evaluated.artifact, Path(folder) / "evaluation")
        tracking.log_folder(run, report, "evaluation")
        if run == bundle_run:
            import keras

            path = store.fetch(bundle, Path(folder) / "bundle", ["model.keras"]) / "model.keras"
            keras_model = keras.models.load_model(path, compile=False)
            tracking.log_model(run, keras_model, MODEL_REQUIREMENTS)
    tracking.finish(run)


def _metrics(report: EvaluationReport) -> dict[str, float]:
    """MLflow's name of a metric to the metric."""
    scores = report.scores
    return {
        "test_balanced_accuracy": scores.balanced_accuracy.value,
        "test_balanced_accuracy_low": scores.balanced_accuracy.low,
        "test_balanced_accuracy_high": scores.balanced_accuracy.high,
        "test_cell_balanced_accuracy": scores.by_cell.balanced_accuracy.value,
        "test_calibration_error": scores.calibration_error.value,
        "test_cell_calibration_error": scores.by_cell.calibration_error.value,
        "test_accepted": scores.review.accepted.value,
        "test_accuracy_at_80_coverage": scores.review.accuracy_at_80.value,
        "engine_top1_agreement": report.parity.top1_agreement,
    } | {
        f"test_sensitivity_{name}": interval.value for name, interval in scores.sensitivity.items()
    }


def _confusion_table(scores: Scores) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {"truth": list(scores.classes)}
    for index, name in enumerate(scores.classes):
        table[f"as {name}"] = [row[index] for row in scores.confusion]
    return table


def confusion_figure(scores: Scores) -> "Figure":
    """The confusion matrix: counts, shaded by their share of the true class."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5.4), layout="constrained")
    axes = figure.subplots()
    shares = [[n / max(sum(row), 1) for n in row] for row in scores.confusion]
    axes.imshow(shares, cmap="Purples", vmin=0, vmax=1)
    for y, row in enumerate(scores.confusion):
        for x, count in enumerate(row):
            colour = "white" if shares[y][x] > 0.5 else "black"
            axes.text(x, y, str(count), ha="center", color=colour)
    ticks = range(len(scores.classes))
    axes.set_xticks(ticks, scores.classes, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(ticks, scores.classes, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title(f"{scores.images} held-out images of {scores.cells} cells")
    return figure
