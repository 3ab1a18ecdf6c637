"""A whole training on drawn cells with a small, randomly weighted backbone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from pipeline import entrypoints
from pipeline.modeling.weights import LAYERS
from pipeline.sample.archive import write_archive
from pipeline.sample.cells import CLASSES

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
RUN = "test-run"


@dataclass(frozen=True)
class Trained:
    """URIs of every artefact of one training, and the environment it was made in."""

    config: str
    environment: dict[str, str]
    snapshot: str
    split: str
    bundle: str
    served: str
    evaluation: str
    verdict: str


def write_weights(path: Path) -> None:
    """VGG16's convolutions, drawn at random (He et al., ICCV 2015): nothing is downloaded."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    before = 3
    for layer, width in zip(LAYERS, _WIDTHS, strict=True):
        spread = np.sqrt(2 / (9 * before))
        kernel = rng.normal(0, spread, (3, 3, before, width)).astype(np.float32)
        arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": np.zeros(width, np.float32)}
        before = width
    np.savez(path, allow_pickle=False, **arrays)


def write_config(path: Path) -> None:
    """32 pixels, few epochs, and floors that drawings and random features can reach."""
    contract = {"name": "tiny", "classes": list(CLASSES), "input_size": 32, "embedding_size": 8}
    gate = {"min_balanced_accuracy": 0.1, "min_class_sensitivity": 0.0, "draws": 100}
    body = {"contract": contract, "train": {"epochs": 6}, "gate": gate}
    path.write_text(yaml.safe_dump(body))


@contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """The process's environment with these values, as a DAG's task would find it."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def train_all(folder: Path, extra: dict[str, str]) -> Trained:
    """Ingest to verdict through the entry points that the DAG calls."""
    write_weights(folder / "random.npz")
    write_config(folder / "tiny.yaml")
    write_archive(folder / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    environment = {
        "LEUKOFLOW_HOME": str(folder / "home"),
        "STORE_URI": str(folder / "store"),
        "WEIGHTS_URI": str(folder / "random.npz"),
        "MODEL_NAME": "tiny",
        **extra,
    }
    config = str(folder / "tiny.yaml")
    with variables(environment):
        snapshot = entrypoints.ingest(config, RUN, [str(folder / "drawn.zip")])
        dataset = entrypoints.validate(config, RUN, snapshot)
        split = entrypoints.split(config, RUN, entrypoints.group(config, RUN, dataset))
        features = [
            entrypoints.featurize(config, RUN, split, shard) for shard in entrypoints.shards(config)
        ]
        bundle = entrypoints.train(config, RUN, split, features)
        served = entrypoints.export(config, RUN, bundle, split)
        evaluation = entrypoints.evaluate(config, RUN, served, bundle, split)
        verdict = entrypoints.gate(config, RUN, evaluation, served)
    return Trained(config, environment, snapshot, split, bundle, served, evaluation, verdict)
