"""What the gate said, on the MLflow run of the model that it judged."""

import tempfile
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.mlflow_runs import Tracking
from pipeline.artifacts import Artifact, VerdictManifest
from pipeline.steps.promotion.verdict import GateVerdict
from pipeline.steps.promotion.verdict_page import badge, markdown

DESCRIPTION = "mlflow.note.content"
"""The tag that MLflow shows as a run's description, as Markdown."""
LONGEST = 8000
"""Characters that MLflow keeps of a tag; longer ones are refused."""


def track_verdict(
    tracking: Tracking,
    run_id: str,
    verdict: GateVerdict,
    artifact: Artifact[VerdictManifest],
    *,
    store: ArtifactStore,
) -> None:
    """Show a verdict on a run: tags to filter by, figures, the table and the page; and end it.

    A model that is judged again, against another champion, shows its last verdict.

    Args:
        tracking: the experiment.
        run_id: of the training.
        verdict: what was said.
        artifact: where it stands.
    """
    champion = verdict.champion.tag if verdict.champion else "none"
    tags = {
        "gate": badge(verdict),
        "gate.champion": champion,
        "gate.failed": ", ".join(verdict.failed) or "none",
        "gate.verdict": artifact.uri,
        DESCRIPTION: markdown(verdict),
    }
    tracking.set_tags(run_id, {name: value[:LONGEST] for name, value in tags.items()})
    tracking.log_metrics(run_id, _metrics(verdict))
    with tempfile.TemporaryDirectory() as folder:
        tracking.log_folder(run_id, store.fetch(artifact, Path(folder) / "verdict"), "verdict")
    tracking.finish(run_id)


def _metrics(verdict: GateVerdict) -> dict[str, float]:
    """`gate/<check>`, the ends of its interval, and how many checks failed."""
    figures = {"gate/failed": float(len(verdict.failed))}
    for check in verdict.checks:
        name = f"gate/{check.name}"
        figures[name] = check.value
        if check.low is not None and check.high is not None:
            figures |= {f"{name} low": check.low, f"{name} high": check.high}
        if check.resampled_low is not None:
            figures[f"{name} resampled low"] = check.resampled_low
    return figures
