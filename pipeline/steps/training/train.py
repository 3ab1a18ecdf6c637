"""Train: a head behind kept regions, or blocks behind kept maps, resumed from a checkpoint."""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, BundleManifest, canonical_json
from pipeline.config import RunConfig
from pipeline.contract.decision import write_review
from pipeline.contract.golden import GoldenExample, write_golden
from pipeline.contract.preprocessing import prepare
from pipeline.engine.frozen import Arrays
from pipeline.modeling.feature_cache import ActivationFiles
from pipeline.modeling.fit import Checkpoint, Epoch
from pipeline.modeling.weights import read_weights
from pipeline.records import FITTED, Record, to_csv
from pipeline.run import RunContext
from pipeline.steps.training.examples import (
    TrainInputs,
    load_activations,
    training_examples,
    validation_examples,
)

if TYPE_CHECKING:
    import keras

    from pipeline.modeling.learn import Learned

log = logging.getLogger(__name__)

Report = Callable[[Epoch], None]


def train(
    inputs: TrainInputs,
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
    report: Report,
) -> Artifact[BundleManifest]:
    """Fit what is trained and publish the bundle.

    A head learns from the training and the validation part, since its cross-fitting needs no part
    of its own; blocks learn from the training part and are calibrated on the other.

    Args:
        inputs: split, its features and the backbone's weights.
        config: contract and hyper-parameters.
        store: artefacts; the checkpoint lives there too.
        run: who runs.
        report: called after every epoch.
    """
    from pipeline.modeling import network

    network.set_determinism(config.train.seed)
    with tempfile.TemporaryDirectory() as scratch:
        records = store.records(inputs.split)
        files = load_activations(inputs, config, store, Path(scratch) / "packs")
        parts = {p: [r for r in records if r.part == p] for p in FITTED}
        log.info("train: %s", {part: len(found) for part, found in parts.items()})
        arrays = read_weights(store.read(inputs.weights, "weights.npz"))
        checkpoint = Checkpoint(store.objects, _checkpoint(inputs, config, store))
        learned = learn_from(
            files, parts["train"], parts["val"], arrays, config, checkpoint, report
        )
        full = network.backbone(config.contract, arrays, inputs.weights.manifest.normalization)
        model = network.assemble(
            full, config.features, learned.trained, learned.temperature, learned.projection
        )
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        _write_bundle(folder, model, config, learned)
        _write_evidence(folder, model, config, records, store)
        manifest = BundleManifest(
            name=config.name,
            inputs={"split": inputs.split.uri, "weights": inputs.weights.uri},
            tracking_run=inputs.tracking_run,
            counts={
                **{part: len(found) for part, found in parts.items()},
                "epochs": len(learned.curve),
            },
            **run.model_dump(),
        )
        bundle = store.publish(folder, manifest)
    log.info("train done: %s after %d epochs", bundle.uri, len(learned.curve))
    return bundle


def learn_from(
    files: ActivationFiles,
    train: Sequence[Record],
    val: Sequence[Record],
    arrays: Arrays,
    config: RunConfig,
    checkpoint: Checkpoint,
    report: Report,
) -> "Learned":
    """Learn as the config says; cross-validation does it with other parts."""
    from pipeline.modeling.learn import learn_head, learn_maps

    if config.features.keep == "regions":
        return learn_head(training_examples(files, [*train, *val], config), config, report)
    learn, check = training_examples(files, train, config), validation_examples(files, val, config)
    return learn_maps(arrays, learn, check, config, checkpoint, report)


def _checkpoint(inputs: TrainInputs, config: RunConfig, store: ArtifactStore) -> str:
    """A checkpoint belongs to one split, one config and one backbone."""
    said = [inputs.split.uri, inputs.weights.uri, config.model_dump_json()]
    key = hashlib.sha256(canonical_json(said).encode()).hexdigest()[:24]
    return f"{store.root}/checkpoints/{config.name}/{key}.npz"


def _write_bundle(
    folder: Path, model: "keras.Model", config: RunConfig, learned: "Learned"
) -> None:
    from pipeline.modeling.saving import save_reproducibly

    save_reproducibly(model, folder / "model.keras")
    (folder / "contract.json").write_text(canonical_json(config.contract.model_dump(mode="json")))
    (folder / "config.json").write_text(canonical_json(config.model_dump(mode="json")))
    (folder / "history.csv").write_text(to_csv(learned.curve, Epoch))
    metrics = {
        **learned.curve[-1].model_dump(),
        "temperature": round(learned.temperature, 6),
    }
    (folder / "metrics.json").write_text(canonical_json(metrics))
    write_review(folder, learned.review)


def _write_evidence(
    folder: Path,
    model: "keras.Model",
    config: RunConfig,
    records: Sequence[Record],
    store: ArtifactStore,
) -> None:
    """What the model saw, and golden images with its answers."""
    seen = [record for record in records if record.part in FITTED]
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
