"""Test a window against the reference of the model that answered, and draw it for human eyes.

The verdict is ours (detector.py); Evidently draws the distributions and takes no part in it.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from monitoring.config import DriftTestConfig
from monitoring.drift.detector import detect_drift
from monitoring.drift.drift_page import write_summary
from monitoring.drift.result import DriftResult
from monitoring.windows.collect import PREDICTIONS
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, DriftManifest, EvaluationManifest, WindowManifest
from pipeline.contract.image_stats import comparable
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord
from pipeline.run import RunContext

REFERENCE = "reference.jsonl"
VERDICT = "drift.json"
_DRAWN_COMPONENTS = 4
"""Numbers of an embedding in the Evidently page: enough to look at, each costs a plot."""
_LOG = logging.getLogger(__name__)


def detect(
    window: Artifact[WindowManifest],
    config: DriftTestConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DriftManifest]:
    """Publish the verdict (`drift.json`), its page and, when it was tested, Evidently's report.

    Raises:
        ArtifactError: when the evaluation that the window names is not there.
    """
    evaluation = store.open(window.manifest.inputs["evaluation"], EvaluationManifest)
    live = read_window(store, window)
    reference = read_reference(store, evaluation)
    _LOG.info("testing %d predictions against %d", len(live), len(reference))
    verdict = detect_drift(live, reference, config)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / VERDICT).write_text(verdict.model_dump_json(indent=2))
        drawn = verdict.verdict != "not_enough"
        if drawn:
            draw(live, [item.record for item in reference], config.alpha, folder)
        write_summary(verdict, window.manifest, folder, evidently=drawn)
        manifest = DriftManifest(
            name=window.manifest.name,
            run_id=run.run_id,
            code_version=run.code_version,
            created_at=run.created_at,
            inputs={"window": window.uri, "evaluation": evaluation.uri},
            counts={"predictions": verdict.n, "distinct": verdict.distinct},
            tag=evaluation.manifest.tag,
            alarm=verdict.alarm,
        )
        drift = store.publish(folder, manifest)
    _LOG.info("tested %s: %s", drift.uri, verdict.verdict)
    return drift


def read_window(store: ArtifactStore, window: Artifact[WindowManifest]) -> list[PredictionRecord]:
    """The predictions of a window."""
    lines = store.read(window, PREDICTIONS).splitlines()
    return [PredictionRecord.model_validate_json(line) for line in lines]


def read_reference(
    store: ArtifactStore, evaluation: Artifact[EvaluationManifest]
) -> list[ReferenceRecord]:
    """What the model said of the images held out from it."""
    lines = store.read(evaluation, REFERENCE).splitlines()
    return [ReferenceRecord.model_validate_json(line) for line in lines]


def read_result(store: ArtifactStore, drift: Artifact[DriftManifest]) -> DriftResult:
    """The verdict of a drift artefact."""
    return DriftResult.model_validate_json(store.read(drift, VERDICT))


def draw(
    window: Sequence[PredictionRecord],
    reference: Sequence[PredictionRecord],
    alpha: float,
    folder: Path,
) -> None:
    """Write Evidently's `evidently.html` and `report.json` into `folder`.

    Its Kolmogorov-Smirnov tests get the family's alpha, divided by the columns (Bonferroni).
    """
    os.environ["DO_NOT_TRACK"] = "1"  # read by Evidently's telemetry at each event
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    compared, _ = comparable(record.stats for record in [*window, *reference])
    live, known = (
        pd.DataFrame([_row(record, compared) for record in side]) for side in (window, reference)
    )
    numbers = [column for column in live if column != "label"]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=["label"])
    current, base = (Dataset.from_pandas(f, data_definition=definition) for f in (live, known))
    columns = DataDriftPreset(
        columns=numbers,
        num_method="ks",
        num_threshold=alpha / len(numbers),
        drift_share=1 / len(numbers),
        include_tests=False,
    )
    snapshot = Report([columns, DataSummaryPreset()]).run(current, base)
    snapshot.save_html(str(folder / "evidently.html"))
    (folder / "report.json").write_text(snapshot.json())


def _row(record: PredictionRecord, statistics: Sequence[str]) -> dict[str, float | str]:
    components = record.embedding[:_DRAWN_COMPONENTS]
    return {
        "label": record.label,
        "confidence": max(record.probabilities.values()),
        **{name: float(getattr(record.stats, name)) for name in statistics},
        **{f"embedding_{index}": value for index, value in enumerate(components)},
    }
