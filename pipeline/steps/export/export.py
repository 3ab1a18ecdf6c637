"""Export: convert a Keras bundle to the fastest serving engine that passes the parity check."""

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
from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.decision import REVIEW
from pipeline.contract.decoding import Pixels
from pipeline.contract.golden_images import GOLDEN
from pipeline.contract.model_contract import ModelContract
from pipeline.contract.preprocessing import prepare
from pipeline.engine.low_rank import write_low_rank
from pipeline.engine.openvino_graph import save_graph
from pipeline.engine.quantization import quantize
from pipeline.engine.serving_engine import MODEL_XML
from pipeline.records import Part
from pipeline.run_context import RunContext
from pipeline.statistics.groups import Floats
from pipeline.steps.export.parity import Candidate, ParityImages, choose_engine

log = logging.getLogger(__name__)
PARITY_IMAGES = 1024
"""Images of the test part, the first by hash: one more mistake costs 0.1 points of accuracy."""
CALIBRATION_IMAGES = 200
"""Images of the training part, the first by hash; NNCF's default of 300 gives the same ranges."""
LOW_RANK_IMAGES = 100
"""Calibration images used to fit the low-rank convolutions; 250 positions are sampled from each."""
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
    """Publish the model in the fastest engine that passes parity; ArtifactError if none passes."""
    with tempfile.TemporaryDirectory() as scratch:
        source = store.fetch(bundle, Path(scratch) / "bundle")
        folder = Path(scratch) / "served"
        contract = _copy_metadata(source, folder)
        crops, labels = _read_crops(split, "test", PARITY_IMAGES, contract, store)
        calibration, _ = _read_crops(split, "train", CALIBRATION_IMAGES, contract, store)
        truth = np.array([contract.classes.index(label) for label in labels], np.int64)
        probabilities = _convert(source / "model.keras", folder / MODEL_XML, crops)
        images = ParityImages(crops, truth, probabilities)
        parity = _write_engine(folder, contract, images, calibration, config.gate)
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


def _copy_metadata(source: Path, folder: Path) -> ModelContract:
    """Copy the bundle's files that the service needs besides the engine; returns the contract."""
    folder.mkdir()
    for name in ("contract.json", "history.csv", "metrics.json", REVIEW):
        shutil.copy(source / name, folder / name)
    shutil.copytree(source / GOLDEN, folder / GOLDEN)
    return ModelContract.model_validate_json((source / "contract.json").read_text())


def _write_engine(
    folder: Path,
    contract: ModelContract,
    images: ParityImages,
    calibration: Pixels,
    gate: GateConfig,
) -> Parity:
    """Replace the model in `folder` by the first engine that passes; returns its parity."""
    with tempfile.TemporaryDirectory() as scratch:
        candidates = _candidates(folder, Path(scratch), calibration)
        chosen, parity = choose_engine(candidates, folder, contract, images, gate)
        if chosen.folder != folder:
            shutil.copytree(chosen.folder, folder, dirs_exist_ok=True)
    return parity


def _candidates(converted: Path, scratch: Path, calibration: Pixels) -> Iterator[Candidate]:
    """Yield engines, fastest first, built in `scratch`; each is built only when it is tried."""
    for variance in KEPT_VARIANCE:
        low_rank = _make_subfolder(scratch, f"low-rank-{variance}")
        both = _make_subfolder(scratch, f"int8-low-rank-{variance}")
        crops = calibration[:LOW_RANK_IMAGES]
        operations = write_low_rank(converted / MODEL_XML, low_rank / MODEL_XML, crops, variance)
        quantize(low_rank / MODEL_XML, both / MODEL_XML, calibration)
        yield Candidate("int8-thin", both, operations)
    int8 = _make_subfolder(scratch, "int8")
    quantize(converted / MODEL_XML, int8 / MODEL_XML, calibration)
    yield Candidate("int8", int8)
    yield Candidate("bf16", converted)
    yield Candidate("f32", converted)


def _make_subfolder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder


def _read_crops(
    split: Artifact[SplitManifest],
    part: Part,
    max_images: int,
    contract: ModelContract,
    store: ArtifactStore,
) -> tuple[Pixels, list[str]]:
    """Read the first images of a part, by hash: crops (n, size, size, 3), and labels."""
    records = (record for record in store.records(split) if record.part == part)
    chosen = sorted(records, key=lambda record: record.sha256)[:max_images]
    read = [
        (record.label, prepare(data, contract).crop) for record, data in read_images(store, chosen)
    ]
    return np.stack([crop for _, crop in read]), [label for label, _ in read]


def _convert(model_file: Path, target: Path, crops: Pixels) -> Floats:
    """Write the OpenVINO model; returns Keras's probabilities for the crops (n, classes)."""
    import keras
    import openvino as ov

    from pipeline.modeling.network import predict

    model = keras.models.load_model(model_file, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        graph = ov.convert_model(folder)
    # OpenVINO records the folder that it read. Without it the same model gives the same file.
    graph.set_rt_info("", ["conversion_parameters", "input_model"])
    save_graph(graph, target)
    return np.asarray(predict(model, crops)[0])
