"""Trains and promotes a model of the default recipe in a minute: random weights, drawn cells."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.isolated_settings import isolated_settings
from benchmarks.training.random_weights import publish_weights
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import BundleManifest, ServedManifest
from pipeline.entrypoints import chain, promotion
from pipeline.sample.archive import write_archive
from pipeline.sample.cells import CLASSES

NAME, RUN = "bench", "bench"
_CONTRACT = {"input_size": 128, "crop_share": 0.41, "crop_margin": 1.4, "embedding_size": 64}
"""Contract of configs/blood_cells.yaml."""
_NO_FLOORS = {
    "min_balanced_accuracy": 0.0,
    "min_class_sensitivity": 0.0,
    "first_min_low": 0.0,
    "min_class_cells": 2,
    "max_calibration_error": 1.0,
    "draws": 100,
}


DECISION = {"author": "bench", "reason": "bench"}


@dataclass(frozen=True)
class Promoted:
    """Folders of the store, of the trained bundle and of the served bundle."""

    store: Path
    bundle: Path
    served: Path


def promote(folder: Path) -> Promoted:
    """Train on drawn cells and promote the model in a new store below `folder`."""
    config = folder / f"{NAME}.yaml"
    contract = {"name": NAME, "classes": list(CLASSES), **_CONTRACT}
    config.write_text(yaml.safe_dump({"contract": contract, "gate": _NO_FLOORS}))
    write_archive(folder / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    store = ArtifactStore(LocalStore(), str(folder / "store"))
    weights = f"{publish_weights(store).uri}/weights.npz"
    with isolated_settings(folder / "training", store.root, NAME, WEIGHTS_URI=weights):
        bundle, served = _train(str(config), str(folder / "drawn.zip"))
    return Promoted(
        store=Path(store.root),
        bundle=store.fetch(store.open(bundle, BundleManifest), folder / "bundle"),
        served=store.fetch(store.open(served, ServedManifest), folder / "served"),
    )


def _train(config: str, archive: str) -> tuple[str, str]:
    """Train and promote; returns the URIs of the trained and of the served bundle."""
    judged = chain.to_verdict(config, RUN, chain.to_split(config, RUN, [archive]))
    promoted = promotion.promote(config, RUN, judged.verdict, DECISION, untracked=True)
    return judged.bundle, promoted.served
