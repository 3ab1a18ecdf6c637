"""Read or compute a model's predicted classes, and read its training records."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, BundleManifest, EvaluationManifest, ServedManifest
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.records import Record, from_csv
from pipeline.run_context import RunContext
from pipeline.steps.evaluation.predictions import predict_images

log = logging.getLogger(__name__)

Labels = dict[str, str]
"""Request id of an image (`request_id`) to the predicted class."""


def training_records(served: Artifact[ServedManifest], store: ArtifactStore) -> list[Record]:
    """Download the records that a served model was trained and validated on."""
    bundle = store.open(served.manifest.inputs["bundle"], BundleManifest)
    return from_csv(store.read(bundle, "training.csv").decode(), Record)


def recorded_labels(evaluation: Artifact[EvaluationManifest], store: ArtifactStore) -> Labels:
    """Request id to predicted class, read from an evaluation's `reference.jsonl`."""
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    records = [ReferenceRecord.model_validate_json(line).record for line in lines]
    return {record.request_id: record.label for record in records}


def predicted_labels(
    served: Artifact[ServedManifest],
    records: Sequence[Record],
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Labels:
    """Predict images by a served bundle; ArtifactError if its preprocessing version is another."""
    with tempfile.TemporaryDirectory() as folder:
        files = store.fetch(served, Path(folder))
        predictions = predict_images(read_images(store, records), served, files, run.created_at)
    return {logged.request_id: logged.label for logged in predictions.logged}
