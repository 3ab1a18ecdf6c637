"""Export: the Keras bundle to the serving engine, at the precision that parity allows."""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    Parity,
    ServedManifest,
    SplitManifest,
    model_tag,
)
from pipeline.config import RunConfig
from pipeline.contract.decision import REVIEW
from pipeline.contract.decoding import Pixels
from pipeline.contract.golden import GOLDEN
from pipeline.contract.preprocessing import prepare
from pipeline.contract.spec import ModelContract
from pipeline.engine.compiled import save_graph
from pipeline.engine.engine import MODEL_XML
from pipeline.engine.low_rank import write_low_rank
from pipeline.engine.quantization import quantize
from pipeline.records import Part
from pipeline.run import RunContext
from pipeline.steps.export.parity import Candidate, ParityImages, choose_engine

log = logging.getLogger(__name__)
PARITY_IMAGES = 1024
"""Of the locked part, by hash; a wrong answer more is a tenth of a point of balanced accuracy."""
CALIBRATION_IMAGES = 200
"""Of the training part, by hash; NNCF's own default is 300, and 200 give the same ranges."""
LOW_RANK_IMAGES = 100
"""Images used to fit the low-rank convolutions; 250 spatial positions are sampled from each."""
KEPT_VARIANCE = (0.9925, 0.996)
"""Shares of the variance that low-rank convolutions keep; the first engine that passes parity is
served (docs/decisions/0011-int8-and-low-rank.md)."""


def export(
    bundle: Artifact[BundleManifest],
    split: Artifact[SplitManifest],
    config: RunConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[ServedManifest]:
    """Convert a bundle and publish what the service loads.

    Raises:
        ArtifactError: when the engine does not repeat Keras's answers at any precision.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source = store.fetch(bundle, Path(scratch) / "bundle")
        folder = Path(scratch) / "served"
        contract = _carry(source, folder)
        parity = _write_engine(source, folder, split, contract, config, store)
        manifest = ServedManifest(
            name=bundle.manifest.name,
            tag=model_tag(bundle),
            contract=contract,
            parity=parity,
            tracking_run=bundle.manifest.tracking_run,
            inputs={"bundle": bundle.uri, "split": split.uri},
            counts={"parity_images": parity.images},
            **run.model_dump(),
        )
        served = store.publish(folder, manifest)
    log.info("export done: %s at %s", served.uri, parity.precision)
    return served


def _carry(source: Path, folder: Path) -> ModelContract:
    """Take along what the service needs beside the engine; the contract."""
    folder.mkdir()
    for name in ("contract.json", "history.csv", "metrics.json", REVIEW):
        shutil.copy(source / name, folder / name)
    shutil.copytree(source / GOLDEN, folder / GOLDEN)
    return ModelContract.model_validate_json((source / "contract.json").read_text())


def _write_engine(
    source: Path,
    folder: Path,
    split: Artifact[SplitManifest],
    contract: ModelContract,
    config: RunConfig,
    store: ArtifactStore,
) -> Parity:
    """Write the fastest engine's model that is accepted."""
    crops, labels = _crops(split, "test", PARITY_IMAGES, contract, store)
    examples, _ = _crops(split, "train", CALIBRATION_IMAGES, contract, store)
    truth = np.array([contract.classes.index(label) for label in labels], np.int64)
    held = ParityImages(crops, truth, _convert(source / "model.keras", folder / MODEL_XML, crops))
    with tempfile.TemporaryDirectory() as scratch:
        candidates = _candidates(folder, Path(scratch), examples)
        taken, parity = choose_engine(candidates, folder, contract, held, config.gate)
        if taken.place != folder:
            shutil.copytree(taken.place, folder, dirs_exist_ok=True)
    return parity


def _candidates(whole: Path, scratch: Path, examples: Pixels) -> Iterator[Candidate]:
    """Engines, fastest first; each is made once those before it were passed over."""
    for kept in KEPT_VARIANCE:
        low_rank, both = _folder(scratch, f"thin-{kept}"), _folder(scratch, f"int8-thin-{kept}")
        fitted = examples[:LOW_RANK_IMAGES]
        operations = write_low_rank(whole / MODEL_XML, low_rank / MODEL_XML, fitted, kept)
        quantize(low_rank / MODEL_XML, both / MODEL_XML, examples)
        yield Candidate("int8-thin", both, operations)
    eight_bits = _folder(scratch, "int8")
    quantize(whole / MODEL_XML, eight_bits / MODEL_XML, examples)
    yield Candidate("int8", eight_bits)
    yield Candidate("bf16", whole)
    yield Candidate("f32", whole)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _crops(
    split: Artifact[SplitManifest],
    part: Part,
    most: int,
    contract: ModelContract,
    store: ArtifactStore,
) -> tuple[Pixels, list[str]]:
    """Crops of a part, the first by hash, and their labels."""
    records = (record for record in store.records(split) if record.part == part)
    chosen = sorted(records, key=lambda record: record.sha256)[:most]
    read = [
        (record.label, prepare(data, contract).crop) for record, data in read_images(store, chosen)
    ]
    return np.stack([crop for _, crop in read]), [label for label, _ in read]


def _convert(model_file: Path, target: Path, crops: Pixels) -> np.ndarray:
    """Write the engine's model; returns Keras's probabilities for the crops."""
    import keras
    import openvino as ov

    from pipeline.modeling.saving import predict

    model = keras.models.load_model(model_file, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        graph = ov.convert_model(folder)
    # The same model is the same file, but OpenVINO notes the folder that it read.
    graph.set_rt_info("", ["conversion_parameters", "input_model"])
    save_graph(graph, target)
    return np.asarray(predict(model, crops)[0])
