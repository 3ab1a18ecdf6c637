"""A complete training on drawn cells, with a backbone of random weights."""

import dataclasses
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import yaml

from benchmarks.training.random_weights import publish_weights
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.adapters.tracking.models import CHAMPION
from pipeline.entrypoints import chain
from pipeline.sample.archive import write_archive
from pipeline.sample.cells import CLASSES

RUN = "test-run"


@dataclass(frozen=True)
class Trained:
    """URIs of the artefacts of one training, its config and its environment."""

    config: str
    environment: dict[str, str]
    split: str
    bundle: str
    served: str
    evaluation: str
    verdict: str

    def with_store(self, root: Path) -> "Trained":
        """The same artefacts where they are, and an empty store at `root` for all that is new."""
        return dataclasses.replace(self, environment=self.environment | {"STORE_URI": str(root)})


def write_weights(root: Path) -> str:
    """Publish random backbone weights; returns the path of the `.npz`."""
    return publish_weights(ArtifactStore(LocalStore(), str(root))).uri + "/weights.npz"


def write_config(path: Path) -> None:
    """Write a config with crops of 32 pixels and low floors."""
    contract = {"name": "tiny", "classes": list(CLASSES), "input_size": 32, "embedding_size": 8}
    gate = {
        "min_balanced_accuracy": 0.1,
        "min_class_sensitivity": 0.0,
        "first_min_low": 0.0,
        "min_class_cells": 2,
        "max_calibration_error": 1.0,
        "draws": 100,
    }
    body = {"contract": contract, "train": {"penalty": 0.3}, "gate": gate}
    path.write_text(yaml.safe_dump(body))


def variables(values: dict[str, str]) -> AbstractContextManager[object]:
    """Set environment variables in a `with` block."""
    return patch.dict(os.environ, values)


def train_all(folder: Path, extra: dict[str, str]) -> Trained:
    """Train on drawn cells, from ingest to verdict, through the entry points."""
    write_config(folder / "tiny.yaml")
    write_archive(folder / "drawn.zip", seed=3, cells_per_class=8, copies=3)
    return train_on(folder, folder / "drawn.zip", folder / "tiny.yaml", extra)


def train_on(folder: Path, archive: Path, config_file: Path, extra: dict[str, str]) -> Trained:
    """Train on an archive by a config, with a random backbone and a store in `folder`."""
    environment = {
        "LEUKOFLOW_HOME": str(folder / "home"),
        "STORE_URI": str(folder / "store"),
        "WEIGHTS_URI": write_weights(folder / "weights"),
        "MODEL_NAME": config_file.stem,
        **extra,
    }
    config = str(config_file)
    with variables(environment):
        split = chain.to_split(config, RUN, [str(archive)])
        judged = chain.to_verdict(config, RUN, split)
    return Trained(config, environment, split, **dataclasses.asdict(judged))


def retrain(trained: Trained, config: str) -> str:
    """Train on the same split by another config; returns the verdict's URI."""
    return chain.to_verdict(config, RUN, trained.split).verdict


def champion_tag(uri: str, name: str) -> str | None:
    """Tag of the model version behind MLflow's alias `champion`; None without one."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    for model in client.search_registered_models(f"name='{name}'"):
        if version := model.aliases.get(CHAMPION):
            return str(client.get_model_version(name, version).tags["tag"])
    return None
