"""Train: fit the layers behind the freeze boundary on cached activations, and publish a bundle."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, BundleManifest
from pipeline.config.run_config import RunConfig
from pipeline.digests import canonical_json, sha256_bytes
from pipeline.modeling.imagenet_weights import read_weights
from pipeline.modeling.training_loop import Checkpoint, Epoch, FitExamples
from pipeline.records import FITTED, Record
from pipeline.run_context import RunContext
from pipeline.steps.training.bundle_files import write_bundle, write_golden_images
from pipeline.steps.training.examples import (
    TrainingData,
    TrainInputs,
    load_activations,
    training_examples,
    validation_examples,
)

if TYPE_CHECKING:
    import keras

    from pipeline.modeling.fitted_model import FittedModel

log = logging.getLogger(__name__)

Report = Callable[[Epoch], None]


def train(
    inputs: TrainInputs, config: RunConfig, *, store: ArtifactStore, run: RunContext, report: Report
) -> Artifact[BundleManifest]:
    """Seed this process, fit a model and publish its bundle; resumes an interrupted fit.

    `report` is called after every epoch. With `features.keep: maps` each epoch writes a checkpoint.
    """
    from pipeline.modeling.network import set_determinism

    set_determinism(config.train.seed)
    fitted = [record for record in store.records(inputs.split) if record.part in FITTED]
    with tempfile.TemporaryDirectory() as scratch:
        data = _load_training_data(inputs, fitted, config, store, Path(scratch) / "packs")
        counts = {"train": len(data.train), "val": len(data.val)}
        log.info("train: %s", counts)
        checkpoint = Checkpoint(store.objects, _checkpoint_uri(inputs, config, store))
        fitted_model = fit_model(data, config, checkpoint, report)
        model = _assemble(fitted_model, data, inputs, config)
        folder = Path(scratch) / "bundle"
        folder.mkdir()
        write_bundle(folder, model, fitted_model, fitted, config)
        write_golden_images(folder, model, data.val, config, store)
        manifest = BundleManifest(
            name=config.name,
            inputs={"split": inputs.split.uri, "weights": inputs.weights.uri},
            tracking_run=inputs.tracking_run,
            counts={**counts, "epochs": len(fitted_model.curve)},
            **run.model_dump(),
        )
        bundle = store.publish(folder, manifest)
    log.info("train done: %s after %d epochs", bundle.uri, len(fitted_model.curve))
    return bundle


def fit_model(
    data: TrainingData, config: RunConfig, checkpoint: Checkpoint, report: Report
) -> "FittedModel":
    """Fit a head (`features.keep: regions`) or convolution blocks (`maps`), and calibrate it.

    A head is fitted on both parts and calibrated by cross-fitting. Blocks are fitted on the
    training part and calibrated on the validation part.
    """
    from pipeline.modeling.fitted_model import fit_blocks, fit_head

    if config.features.keep == "regions":
        examples = training_examples(data.files, [*data.train, *data.val], config)
        return fit_head(examples, config, report)
    parts = FitExamples(
        training_examples(data.files, data.train, config),
        validation_examples(data.files, data.val, config),
    )
    return fit_blocks(data.backbone, parts, config, checkpoint, report)


def _load_training_data(
    inputs: TrainInputs,
    fitted: Sequence[Record],
    config: RunConfig,
    store: ArtifactStore,
    folder: Path,
) -> TrainingData:
    """Download the activations to `folder`, and read the backbone's weights."""
    return TrainingData(
        files=load_activations(inputs, config, store, folder),
        train=[record for record in fitted if record.part == "train"],
        val=[record for record in fitted if record.part == "val"],
        backbone=read_weights(store.read(inputs.weights, "weights.npz")),
    )


def _assemble(
    fitted: "FittedModel", data: TrainingData, inputs: TrainInputs, config: RunConfig
) -> "keras.Model":
    """The complete Keras model: frozen backbone, fitted layers and calibration in one graph."""
    from pipeline.modeling import network

    normalization = inputs.weights.manifest.normalization
    backbone = network.backbone(config.contract, data.backbone, normalization)
    return network.assemble(
        backbone, config.features, fitted.trained, fitted.temperature, fitted.projection
    )


def _checkpoint_uri(inputs: TrainInputs, config: RunConfig, store: ArtifactStore) -> str:
    """URI of the checkpoint of one split, backbone and config."""
    identity = [inputs.split.uri, inputs.weights.uri, config.model_dump_json()]
    key = sha256_bytes(canonical_json(identity).encode())[:24]
    return f"{store.root}/checkpoints/{config.name}/{key}.npz"
