"""Files of a Keras bundle: model, contract, config, curve, training records, golden images."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import write_review
from pipeline.contract.decoding import served_copy
from pipeline.contract.golden_images import GoldenExample, write_golden
from pipeline.contract.preprocessing import prepare
from pipeline.digests import canonical_json
from pipeline.modeling.training_loop import Epoch
from pipeline.records import Record, to_csv

if TYPE_CHECKING:
    import keras

    from pipeline.modeling.fitted_model import FittedModel


def write_bundle(
    folder: Path,
    model: "keras.Model",
    fitted_model: "FittedModel",
    fitted: Sequence[Record],
    config: RunConfig,
) -> None:
    """Write every file of a bundle but the golden images.

    `fitted` are the records of the training and validation parts; the gate excludes their groups.
    """
    from pipeline.modeling.keras_file import save_reproducibly

    save_reproducibly(model, folder / "model.keras")
    (folder / "contract.json").write_text(canonical_json(config.contract.model_dump(mode="json")))
    (folder / "config.json").write_text(canonical_json(config.model_dump(mode="json")))
    (folder / "history.csv").write_text(to_csv(fitted_model.curve, Epoch))
    metrics = {
        **fitted_model.curve[-1].model_dump(),
        "temperature": round(fitted_model.temperature, 6),
    }
    (folder / "metrics.json").write_text(canonical_json(metrics))
    write_review(folder, fitted_model.review)
    (folder / "training.csv").write_text(to_csv(fitted, Record))


def write_golden_images(
    folder: Path,
    model: "keras.Model",
    val: Sequence[Record],
    config: RunConfig,
    store: ArtifactStore,
) -> None:
    """Write `golden/`: a few validation images per class, with the model's probabilities."""
    from pipeline.modeling.network import predict

    chosen = []
    for label in config.contract.classes:
        of_class = [record for record in val if record.label == label]
        ranked = sorted(of_class, key=lambda record: record.sha256)
        chosen += ranked[: config.train.golden_per_class]
    images = {record.sha256: data for record, data in read_images(store, chosen)}
    crops = np.stack([prepare(images[r.sha256], config.contract).crop for r in chosen])
    probabilities, _ = predict(model, crops)
    served = {sha256: served_copy(data) for sha256, data in images.items()}
    examples = [
        GoldenExample(
            file=_golden_name(record, is_original=served[record.sha256] is images[record.sha256]),
            label=record.label,
            probabilities=tuple(float(p) for p in row),
        )
        for record, row in zip(chosen, probabilities, strict=True)
    ]
    write_golden(folder, examples, [served[record.sha256] for record in chosen])


def _golden_name(record: Record, *, is_original: bool) -> str:
    """File name of a golden image: with its own suffix, or that of a PNG copy."""
    suffix = Path(record.file).suffix.lower() if is_original else ".png"
    return f"{record.sha256[:16]}{suffix}"
