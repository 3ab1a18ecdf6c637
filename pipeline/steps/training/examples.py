"""Examples to train and to validate on: activations on disk, labels and sample weights."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, FeaturesManifest, SplitManifest, WeightsManifest
from pipeline.config.run_config import RunConfig
from pipeline.engine.frozen_network import Arrays
from pipeline.modeling.augmentation import crop_names
from pipeline.modeling.feature_cache import ActivationFiles, fetch_activations
from pipeline.modeling.training_loop import Examples
from pipeline.records import FITTED, Record
from pipeline.statistics.groups import group_codes

_MAX_IMAGES_PER_CELL = 8


@dataclass(frozen=True)
class TrainInputs:
    """Artefacts that a training or a cross-validation reads."""

    split: Artifact[SplitManifest]
    features: Sequence[Artifact[FeaturesManifest]]
    weights: Artifact[WeightsManifest]
    tracking_run: str = ""
    """MLflow run id; empty when MLflow is unreachable, and in a cross-validation."""


@dataclass(frozen=True)
class TrainingData:
    """Activations on disk, the records of both fitted parts, and the backbone's arrays."""

    files: ActivationFiles
    train: Sequence[Record]
    val: Sequence[Record]
    backbone: Arrays


def load_activations(
    inputs: TrainInputs, config: RunConfig, store: ArtifactStore, folder: Path
) -> ActivationFiles:
    """Download the activations of all crops of the training and validation parts to `folder`."""
    packs = sorted({pack for part in inputs.features for pack in part.manifest.packs})
    crops = [
        name
        for record in store.records(inputs.split)
        if record.part in FITTED
        for name in crop_names(record.sha256, config.features.jitters)
    ]
    return fetch_activations(store, packs, crops, folder)


def training_examples(
    files: ActivationFiles, records: Sequence[Record], config: RunConfig
) -> Examples:
    """Examples with all crops of the records, weighted by class and by `train.copies`."""
    weights = sample_weights(records, config.train.copies)
    return _examples(files, records, config, config.features.jitters, weights)


def validation_examples(
    files: ActivationFiles, records: Sequence[Record], config: RunConfig
) -> Examples:
    """Examples of up to eight images per cell, without jitter; cells of a class weigh the same."""
    limited = limit_images_per_cell(records)
    return _examples(files, limited, config, 0, sample_weights(limited))


def unlabelled_examples(files: ActivationFiles, records: Sequence[Record]) -> Examples:
    """Examples of images of any class, without jitter; labels and groups are 0, weights are 1."""
    zeros = np.zeros(len(records), np.int64)
    crops = [crop_names(record.sha256, 0) for record in records]
    return Examples(files, crops, zeros, np.ones(len(records), np.float32), zeros)


def _examples(
    files: ActivationFiles,
    records: Sequence[Record],
    config: RunConfig,
    jitters: int,
    weights: NDArray[np.float32],
) -> Examples:
    classes = {name: index for index, name in enumerate(config.contract.classes)}
    labels = np.array([classes[record.label] for record in records], np.int64)
    crops = [crop_names(record.sha256, jitters) for record in records]
    groups = group_codes([record.group for record in records])
    return Examples(files, crops, labels, weights, groups)


def sample_weights(records: Sequence[Record], copies: float = 0.0) -> NDArray[np.float32]:
    """Weight of each image (n,), mean 1: all classes weigh the same.

    Args:
        records: labelled images with their cells.
        copies: exponent of a cell's weight within its class, which is n**copies for n images: at 0
            all cells weigh the same, at 1 all images do.
    """
    images = Counter((record.label, record.cell) for record in records)
    totals: dict[str, float] = defaultdict(float)
    for (label, _), count in images.items():
        totals[label] += count**copies
    raw = [images[r.label, r.cell] ** (copies - 1) / totals[r.label] for r in records]
    return np.asarray(np.array(raw) / np.mean(raw), np.float32)


def limit_images_per_cell(records: Sequence[Record]) -> list[Record]:
    """At most eight images per cell and label, the first ones by hash; sorted by hash."""
    seen: Counter[tuple[str, str]] = Counter()
    limited = []
    for record in sorted(records, key=lambda record: record.sha256):
        seen[record.label, record.cell] += 1
        if seen[record.label, record.cell] <= _MAX_IMAGES_PER_CELL:
            limited.append(record)
    return limited
