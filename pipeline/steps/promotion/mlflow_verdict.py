"""Log the gate's verdict to MLflow: tags, metrics and page in the run of the model's training."""

import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.tracking.runs import Tracking
from pipeline.artifacts import Artifact, VerdictManifest
from pipeline.steps.promotion.verdict import GateVerdict
from pipeline.steps.promotion.verdict_page import badge, markdown

DESCRIPTION = "mlflow.note.content"
"""Tag that MLflow shows as a run's description, as Markdown."""
MAX_TAG_LENGTH = 8000
"""Characters; MLflow refuses longer tags."""


def track_verdict(
    tracking: Tracking,
    run_id: str,
    verdict: GateVerdict,
    artifact: Artifact[VerdictManifest],
    *,
    store: ArtifactStore,
) -> None:
    """Log a verdict to an MLflow run, in place of an earlier verdict, and end the run."""
    champion = verdict.champion.tag if verdict.champion else "none"
    tags = {
        "gate": badge(verdict),
        "gate.champion": champion,
        "gate.failed": ", ".join(verdict.failed) or "none",
        "gate.verdict": artifact.uri,
        DESCRIPTION: markdown(verdict),
    }
    tracking.set_tags(run_id, {name: value[:MAX_TAG_LENGTH] for name, value in tags.items()})
    tracking.log_metrics(run_id, _metrics(verdict))
    with tempfile.TemporaryDirectory() as folder:
        tracking.log_folder(run_id, store.fetch(artifact, Path(folder) / "verdict"), "verdict")
    tracking.finish(run_id)


def _metrics(verdict: GateVerdict) -> dict[str, float]:
    """`gate/<check>`, the ends of its interval, and the number of failed checks."""
    metrics = {"gate/failed": float(len(verdict.failed))}
    for check in verdict.checks:
        name = f"gate/{check.name}"
        metrics[name] = check.value
        if check.low is not None and check.high is not None:
            metrics |= {f"{name} low": check.low, f"{name} high": check.high}
        if check.resampled_low is not None:
            metrics[f"{name} resampled low"] = check.resampled_low
    return metrics
