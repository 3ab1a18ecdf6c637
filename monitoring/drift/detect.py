"""Detect drift, the task of the DAG: read window and reference, test, publish the report.

The result comes from `compare`; Evidently draws the distributions and decides nothing.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from monitoring.config import DriftTestConfig
from monitoring.drift import messages
from monitoring.drift.compare import detect_drift
from monitoring.drift.drift_page import write_summary
from monitoring.drift.result import DriftResult
from monitoring.windows.collect import PREDICTIONS
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, DriftManifest, EvaluationManifest, WindowManifest
from pipeline.contract.image_stats import common_statistics
from pipeline.contract.prediction_log import PredictionRecord, ReferenceRecord
from pipeline.run_context import RunContext

REFERENCE = "reference.jsonl"
RESULT = "drift.json"
_DRAWN_COMPONENTS = 4
"""Embedding components in the Evidently report; each is one plot."""
_LOG = logging.getLogger(__name__)


def detect(
    window: Artifact[WindowManifest],
    config: DriftTestConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[DriftManifest]:
    """Test a window for drift; publish the result, the page and Evidently's report.

    Raises:
        ArtifactError: if the evaluation of the window is missing.
    """
    evaluation = store.open(window.manifest.inputs["evaluation"], EvaluationManifest)
    live = read_window(store, window)
    reference = read_reference(store, evaluation)
    _LOG.info("testing %d predictions against %d reference images", len(live), len(reference))
    result = detect_drift(live, reference, config)
    caveats = (*messages.other_models(window.manifest), *result.caveats)
    result = result.model_copy(update={"caveats": caveats})
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / RESULT).write_text(result.model_dump_json(indent=2))
        tested = result.verdict != "not_enough"
        if tested:
            write_evidently(live, [item.record for item in reference], config.alpha, folder)
        write_summary(result, window.manifest, folder, evidently=tested)
        manifest = DriftManifest(
            name=window.manifest.name,
            inputs={"window": window.uri, "evaluation": evaluation.uri},
            counts={"predictions": result.n, "distinct": result.distinct},
            tag=evaluation.manifest.tag,
            alarm=result.alarm,
            **run.model_dump(),
        )
        drift = store.publish(folder, manifest)
    _LOG.info("tested %s: %s: %s", drift.uri, result.verdict, result.summary)
    return drift


def read_window(store: ArtifactStore, window: Artifact[WindowManifest]) -> list[PredictionRecord]:
    """Download the predictions of a window."""
    lines = store.read(window, PREDICTIONS).splitlines()
    return [PredictionRecord.model_validate_json(line) for line in lines]


def read_reference(
    store: ArtifactStore, evaluation: Artifact[EvaluationManifest]
) -> list[ReferenceRecord]:
    """Download the drift reference: the model's predictions on its held-out images."""
    lines = store.read(evaluation, REFERENCE).splitlines()
    return [ReferenceRecord.model_validate_json(line) for line in lines]


def read_result(store: ArtifactStore, drift: Artifact[DriftManifest]) -> DriftResult:
    """Download the result of a drift test."""
    return DriftResult.model_validate_json(store.read(drift, RESULT))


def write_evidently(
    window: Sequence[PredictionRecord],
    reference: Sequence[PredictionRecord],
    alpha: float,
    folder: Path,
) -> None:
    """Write Evidently's `evidently.html` and `report.json` into `folder`.

    Its Kolmogorov-Smirnov tests use alpha divided by the number of columns (Bonferroni).
    """
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    statistics, _ = common_statistics(record.stats for record in [*window, *reference])
    live, known = (
        pd.DataFrame([_row(record, statistics) for record in side]) for side in (window, reference)
    )
    numeric = [column for column in live if column != "label"]
    definition = DataDefinition(numerical_columns=numeric, categorical_columns=["label"])
    current, base = (Dataset.from_pandas(f, data_definition=definition) for f in (live, known))
    columns = DataDriftPreset(
        columns=numeric,
        num_method="ks",
        num_threshold=alpha / len(numeric),
        drift_share=1 / len(numeric),
        include_tests=False,
    )
    snapshot = Report([columns, DataSummaryPreset()]).run(current, base)
    snapshot.save_html(str(folder / "evidently.html"))
    (folder / "report.json").write_text(snapshot.json())


def _row(record: PredictionRecord, statistics: Sequence[str]) -> dict[str, float | str]:
    """One row of Evidently's table: label, confidence, statistics, first embedding components."""
    components = record.embedding[:_DRAWN_COMPONENTS]
    return {
        "label": record.label,
        "confidence": max(record.probabilities.values()),
        **{name: float(getattr(record.stats, name)) for name in statistics},
        **{f"embedding_{index}": value for index, value in enumerate(components)},
    }
