"""Export: the Keras bundle to the serving engine, at the precision that parity allows."""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    Artifact,
    BundleManifest,
    Parity,
    Record,
    ServedManifest,
    SplitManifest,
    model_tag,
)
from pipeline.config import RunConfig
from pipeline.contract.decision import REVIEW
from pipeline.contract.decoding import Pixels
from pipeline.contract.golden import GOLDEN, replay
from pipeline.contract.preprocessing import prepare
from pipeline.contract.spec import ModelContract
from pipeline.errors import ArtifactError
from pipeline.modeling.engine import MODEL_XML, Engine
from pipeline.run import RunContext
from pipeline.steps.images import read_images

log = logging.getLogger(__name__)
PARITY_IMAGES = 128
PRECISIONS: tuple[Literal["bf16", "f32"], ...] = ("bf16", "f32")
"""Fastest first."""


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
        folder.mkdir()
        for name in ("contract.json", "history.csv", "metrics.json", REVIEW):
            shutil.copy(source / name, folder / name)
        shutil.copytree(source / GOLDEN, folder / GOLDEN)
        contract = ModelContract.model_validate_json((source / "contract.json").read_text())
        crops = _validation_crops(split, contract, store)
        answers = _convert(source / "model.keras", folder / MODEL_XML, crops)
        parity = choose_precision(folder, contract, crops, answers, config.gate.min_parity)
        manifest = ServedManifest(
            name=bundle.manifest.name,
            tag=model_tag(bundle),
            contract=contract,
            parity=parity,
            tracking_run=bundle.manifest.tracking_run,
            inputs={"bundle": bundle.uri, "split": split.uri},
            counts={"parity_images": len(crops)},
            **run.model_dump(),
        )
        served = store.publish(folder, manifest)
    log.info("export done: %s at %s", served.uri, parity.precision)
    return served


def choose_precision(
    folder: Path, contract: ModelContract, crops: Pixels, answers: np.ndarray, least: float
) -> Parity:
    """The fastest precision that agrees with Keras and repeats the golden images.

    Args:
        folder: a converted bundle.
        contract: its contract.
        crops: real images (n, size, size, 3) uint8.
        answers: Keras's probabilities (n, classes).
        least: least share of equal first classes.

    Raises:
        ArtifactError: when none does.
    """
    tried = []
    for precision in PRECISIONS:
        engine = Engine(folder, precision)
        given = np.concatenate([engine.predict(crops[i : i + 1])[0] for i in range(len(crops))])
        parity = Parity(
            precision=precision,
            images=len(crops),
            top1_agreement=float((given.argmax(1) == answers.argmax(1)).mean()),
            max_probability_difference=round(float(np.abs(given - answers).max()), 5),
        )
        log.info("parity: %s", parity)
        tried.append(parity)
        if parity.top1_agreement >= least and _repeats_golden(folder, contract, engine):
            return parity
    raise ArtifactError(
        "the serving engine does not give Keras's answers",
        expected=f"top-1 agreement of at least {least} and the golden answers",
        received="; ".join(f"{p.precision}: {p.top1_agreement:.4f}" for p in tried),
    )


def _repeats_golden(folder: Path, contract: ModelContract, engine: Engine) -> bool:
    try:
        replay(folder, contract, lambda crop: engine.predict(crop[None])[0][0])
    except ArtifactError as error:
        log.info("parity: %s", error)
        return False
    return True


def _validation_crops(
    split: Artifact[SplitManifest], contract: ModelContract, store: ArtifactStore
) -> Pixels:
    records = store.records(split)
    held = sorted((r for r in records if r.part == "val"), key=lambda r: r.sha256)
    chosen: Sequence[Record] = held[:PARITY_IMAGES]
    return np.stack([prepare(data, contract).crop for _, data in read_images(store, chosen)])


def _convert(model_file: Path, target: Path, crops: Pixels) -> np.ndarray:
    """Write the engine's model; returns Keras's probabilities for the crops."""
    import keras
    import openvino as ov

    from pipeline.modeling.saving import predict

    model = keras.models.load_model(model_file, compile=False)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        graph = ov.convert_model(folder)
    # The same model is the same file: OpenVINO numbers nodes by all that the process ever made,
    # and notes the folder that it read.
    graph.set_rt_info("", ["conversion_parameters", "input_model"])
    for place, node in enumerate(graph.get_ordered_ops()):
        node.set_friendly_name(f"{node.get_type_name()}_{place}")
    ov.save_model(graph, target, compress_to_fp16=False)
    return np.asarray(predict(model, crops)[0])
