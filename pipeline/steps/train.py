"""Train: the head on cached activations, resumable from its own checkpoint."""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    FeaturesManifest,
    Record,
    SplitManifest,
    WeightsManifest,
    canonical_json,
    to_csv,
)
from pipeline.config import RunConfig
from pipeline.contract.golden import GoldenExample, write_golden
from pipeline.contract.preprocessing import prepare
from pipeline.modeling.feature_cache import load_activations
from pipeline.modeling.fit import Checkpoint, Epoch, Examples, fit
from pipeline.modeling.weights import read_weights
from pipeline.run import RunContext
from pipeline.steps.images import read_images

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

Report = Callable[[Epoch], None]


@dataclass(frozen=True)
class TrainInputs:
    """Everything a training starts from."""

    split: Artifact[SplitManifest]
    features: Sequence[Artifact[FeaturesManifest]]
    weights: Artifact[WeightsManifest]
    tracking_run: str = ""


def train(
    inputs: TrainInputs,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
    report: Report,
) -> Artifact[BundleManifest]:
    """Fit the head and publish the bundle.

    Args:
        inputs: split, its features and the backbone's weights.
        config: contract and hyper-parameters.
        store: artefacts; the checkpoint lives there too.
        run: who runs.
        report: called after every epoch.
    """
    from pipeline.modeling import network

    network.set_determinism(config.train.seed)
    records = store.records(inputs.split)
    packs = sorted({pack for part in inputs.features for pack in part.manifest.packs})
    learn, check = (_examples(records, part, packs, config, store) for part in ("train", "val"))
    log.info("train: %d images, %d to validate", len(learn.labels), len(check.labels))
    arrays = read_weights(store.read(inputs.weights, "weights.npz"))
    full = network.backbone(config.contract, arrays, inputs.weights.manifest.normalization)
    top = network.head(learn.features.shape[1:], len(config.contract.classes), config.train.seed)
    checkpoint = Checkpoint(store.objects, f"{store.root}/checkpoints/{_key(inputs, config)}.npz")
    curve = fit(top, learn, check, config.train, checkpoint, report)
    projection = network.Projection(_pooled(learn.features), config.contract.embedding_size)
    model = network.assemble(full, top, projection)
    with tempfile.TemporaryDirectory() as folder:
        _write_bundle(Path(folder), model, config, records, curve, store)
        manifest = BundleManifest(
            name=config.name,
            inputs={"split": inputs.split.uri, "weights": inputs.weights.uri},
            tracking_run=inputs.tracking_run,
            counts={"train": len(learn.labels), "val": len(check.labels), "epochs": len(curve)},
            **run.model_dump(),
        )
        bundle = store.publish(Path(folder), manifest)
    log.info("train done: %s after %d epochs", bundle.uri, len(curve))
    return bundle


def _examples(
    records: Sequence[Record],
    part: str,
    packs: Sequence[str],
    config: RunConfig,
    store: ArtifactStore,
) -> Examples:
    chosen = [record for record in records if record.part == part]
    classes = {name: index for index, name in enumerate(config.contract.classes)}
    labels = np.array([classes[record.label] for record in chosen], np.int64)
    features = load_activations(store, packs, [record.sha256 for record in chosen])
    return Examples(features, labels, evidence_weights(chosen))


def evidence_weights(records: Sequence[Record]) -> NDArray[np.float32]:
    """Weight of each image (n,), mean 1: classes count alike, and cells within a class."""
    copies: dict[tuple[str, str], int] = {}
    for record in records:
        copies[record.label, record.group] = copies.get((record.label, record.group), 0) + 1
    cells: dict[str, int] = {}
    for label, _ in copies:
        cells[label] = cells.get(label, 0) + 1
    raw = [1 / (copies[r.label, r.group] * cells[r.label]) for r in records]
    return np.asarray(np.array(raw) / np.mean(raw), np.float32)


def _pooled(features: NDArray[np.float16]) -> NDArray[np.float32]:
    return np.asarray(features.mean(axis=(1, 2), dtype=np.float32))


def _key(inputs: TrainInputs, config: RunConfig) -> str:
    """A checkpoint belongs to one split, one config and one backbone."""
    said = [inputs.split.uri, inputs.weights.uri, config.model_dump_json()]
    return f"{config.name}/{hashlib.sha256(canonical_json(said).encode()).hexdigest()[:24]}"


def _write_bundle(
    folder: Path,
    model: "keras.Model",
    config: RunConfig,
    records: Sequence[Record],
    curve: Sequence[Epoch],
    store: ArtifactStore,
) -> None:
    from pipeline.modeling.saving import save_reproducibly

    save_reproducibly(model, folder / "model.keras")
    (folder / "contract.json").write_text(canonical_json(config.contract.model_dump(mode="json")))
    (folder / "config.json").write_text(canonical_json(config.model_dump(mode="json")))
    (folder / "history.csv").write_text(to_csv(curve, Epoch))
    best = min(curve, key=lambda epoch: epoch.val_loss)
    (folder / "metrics.json").write_text(canonical_json(best.model_dump()))
    seen = [record for record in records if record.part in ("train", "val")]
    (folder / "training.csv").write_text(to_csv(seen, Record))
    _write_golden(folder, model, config, records, store)


def _write_golden(
    folder: Path,
    model: "keras.Model",
    config: RunConfig,
    records: Sequence[Record],
    store: ArtifactStore,
) -> None:
    """The first validation images of each class, by hash, with the model's own answers."""
    from pipeline.modeling.saving import predict

    chosen = []
    for label in config.contract.classes:
        ranked = sorted(
            (r for r in records if r.part == "val" and r.label == label), key=lambda r: r.sha256
        )
        chosen += ranked[: config.train.golden_per_class]
    images = {record.sha256: data for record, data in read_images(store, chosen)}
    crops = np.stack([prepare(images[r.sha256], config.contract).crop for r in chosen])
    probabilities, _ = predict(model, crops)
    examples = [
        GoldenExample(
            file=f"{record.sha256[:16]}{Path(record.file).suffix.lower()}",
            label=record.label,
            probabilities=tuple(float(p) for p in row),
        )
        for record, row in zip(chosen, probabilities, strict=True)
    ]
    write_golden(folder, examples, [images[record.sha256] for record in chosen])
