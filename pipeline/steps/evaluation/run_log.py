"""What a run shows on its MLflow page."""

import tempfile
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.mlflow_models import MlflowModels
from pipeline.adapters.mlflow_runs import Tracking
from pipeline.artifacts import Artifact, BundleManifest, ServedManifest
from pipeline.config import RunConfig
from pipeline.steps.evaluation.evaluate import Evaluated
from pipeline.steps.evaluation.scoring import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL_REQUIREMENTS = ["tensorflow", "keras", "numpy"]


def parameters(config: RunConfig) -> dict[str, Any]:
    """Every field of a config as `section.field`."""
    return {
        f"{section}.{field}": value
        for section, fields in config.model_dump(mode="json").items()
        for field, value in fields.items()
    }


def environment() -> str:
    """Every installed package with its version, one a line."""
    found = {f"{d.metadata['Name']}=={d.version}" for d in distributions()}
    return "\n".join(sorted(found, key=str.lower)) + "\n"


def track_evaluation(
    tracking: Tracking,
    run: str,
    served: Artifact[ServedManifest],
    bundle: Artifact[BundleManifest],
    done: Evaluated,
    *,
    store: ArtifactStore,
) -> None:
    """Add scores, confusion matrix, report and models to a training's run, and end it.

    Args:
        tracking: the experiment.
        run: of this training. When its data gave the bundle of an earlier run, it names that run
            and shows its models as inputs, beside its own scores.
        served: the exported bundle.
        bundle: the Keras bundle.
        done: the evaluation.
        store: where they are.
    """
    if tracking.status(run) == "FINISHED":
        return  # an earlier try of this run
    first, scores = served.manifest.tracking_run, done.report.scores
    models = MlflowModels(tracking.uri, tracking.experiment)
    tracking.set_tags(run, {"tag": served.manifest.tag, "bundle_of_run": first})
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(served, Path(folder) / "served")
        model = models.log(run, served.manifest.tag, files)
        tracking.log_metrics(run, _metrics(done), model_id=model)
        tracking.log_figure(run, confusion_figure(scores), "confusion_matrix.png")
        tracking.log_table(run, _confusion_table(scores), "confusion_matrix.json")
        report = store.fetch(done.artifact, Path(folder) / "evaluation")
        tracking.log_folder(run, report, "evaluation")
        if run == first:
            source = store.fetch(bundle, Path(folder) / "bundle", ["model.keras"])
            _log_keras(tracking, run, source / "model.keras")
    tracking.finish(run)


def _log_keras(tracking: Tracking, run: str, path: Path) -> None:
    import keras

    tracking.log_model(run, keras.models.load_model(path, compile=False), MODEL_REQUIREMENTS)


def _metrics(done: Evaluated) -> dict[str, float]:
    scores = done.report.scores
    return {
        "test_balanced_accuracy": scores.balanced_accuracy.value,
        "test_balanced_accuracy_low": scores.balanced_accuracy.low,
        "test_balanced_accuracy_high": scores.balanced_accuracy.high,
        "test_cell_balanced_accuracy": scores.by_cell.balanced_accuracy.value,
        "test_calibration_error": scores.calibration_error.value,
        "test_cell_calibration_error": scores.by_cell.calibration_error.value,
        "test_accepted": scores.review.accepted.value,
        "test_accuracy_at_80_coverage": scores.review.accuracy_at_80.value,
        "engine_top1_agreement": done.report.parity.top1_agreement,
    } | {f"test_sensitivity_{name}": found.value for name, found in scores.sensitivity.items()}


def _confusion_table(scores: Scores) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {"truth": list(scores.classes)}
    for index, name in enumerate(scores.classes):
        table[f"as {name}"] = [row[index] for row in scores.confusion]
    return table


def confusion_figure(scores: Scores) -> "Figure":
    """The confusion matrix as a picture: counts, shaded by share of the true class."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5.4), layout="constrained")
    axes = figure.subplots()
    shares = [[n / max(sum(row), 1) for n in row] for row in scores.confusion]
    axes.imshow(shares, cmap="Purples", vmin=0, vmax=1)
    for y, row in enumerate(scores.confusion):
        for x, count in enumerate(row):
            ink = "white" if shares[y][x] > 0.5 else "black"
            axes.text(x, y, str(count), ha="center", color=ink)
    places = range(len(scores.classes))
    axes.set_xticks(places, scores.classes, rotation=30, ha="right")
    axes.set_yticks(places, scores.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    axes.set_title(f"{scores.images} held-out images of {scores.cells} cells")
    return figure
