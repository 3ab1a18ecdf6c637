"""What training learns from: activations on disk, labels, and how much each image counts."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, FeaturesManifest, SplitManifest, WeightsManifest
from pipeline.config import RunConfig
from pipeline.modeling.augmentation import view_names
from pipeline.modeling.feature_cache import ActivationFiles, fetch_activations
from pipeline.modeling.fit import Examples
from pipeline.records import FITTED, Record
from pipeline.statistics.metrics import group_codes

_CHECK_COPIES = 8


@dataclass(frozen=True)
class TrainInputs:
    """Everything a training starts from."""

    split: Artifact[SplitManifest]
    features: Sequence[Artifact[FeaturesManifest]]
    weights: Artifact[WeightsManifest]
    tracking_run: str = ""


def load_activations(
    inputs: TrainInputs, config: RunConfig, store: ArtifactStore, folder: Path
) -> ActivationFiles:
    """All crops of a split's images that may be learned from, in `folder`."""
    jitters = config.features.jitters
    packs = sorted({pack for part in inputs.features for pack in part.manifest.packs})
    wanted = [
        name
        for record in store.records(inputs.split)
        if record.part in FITTED
        for name in view_names(record.sha256, jitters)
    ]
    return fetch_activations(store, packs, wanted, folder)


def training_examples(
    files: ActivationFiles, records: Sequence[Record], config: RunConfig
) -> Examples:
    """Images with all their crops; classes count alike, and a cell's copies as the config says."""
    weights = sample_weights(records, config.train.copies)
    return _examples(files, records, config, config.features.jitters, weights)


def validation_examples(
    files: ActivationFiles, records: Sequence[Record], config: RunConfig
) -> Examples:
    """A few plain crops of each cell; cells count alike within a class."""
    few = limit_images_per_cell(records)
    return _examples(files, few, config, 0, sample_weights(few))


def unlabelled_examples(files: ActivationFiles, records: Sequence[Record]) -> Examples:
    """The plain crops of images of any class, without their labels."""
    none = np.zeros(len(records), np.int64)
    views = [view_names(record.sha256, 0) for record in records]
    return Examples(files, views, none, np.ones(len(records), np.float32), none)


def _examples(
    files: ActivationFiles,
    records: Sequence[Record],
    config: RunConfig,
    jitters: int,
    weights: NDArray[np.float32],
) -> Examples:
    classes = {name: index for index, name in enumerate(config.contract.classes)}
    labels = np.array([classes[record.label] for record in records], np.int64)
    views = [view_names(record.sha256, jitters) for record in records]
    groups = group_codes([record.group for record in records])
    return Examples(files, views, labels, weights, groups)


def sample_weights(records: Sequence[Record], copies: float = 0.0) -> NDArray[np.float32]:
    """Weight of each image (n,), mean 1: classes count alike, and cells within a class.

    Args:
        records: labelled images with their cells.
        copies: a cell of n images counts n**copies; 0 for cells that count alike, 1 for images.
    """
    images = Counter((record.label, record.cell) for record in records)
    totals: dict[str, float] = defaultdict(float)
    for (label, _), count in images.items():
        totals[label] += count**copies
    raw = [images[r.label, r.cell] ** (copies - 1) / totals[r.label] for r in records]
    return np.asarray(np.array(raw) / np.mean(raw), np.float32)


def limit_images_per_cell(records: Sequence[Record]) -> list[Record]:
    """At most eight images of each cell, by hash: its further copies say the same."""
    seen: Counter[tuple[str, str]] = Counter()
    few = []
    for record in sorted(records, key=lambda record: record.sha256):
        seen[record.label, record.cell] += 1
        if seen[record.label, record.cell] <= _CHECK_COPIES:
            few.append(record)
    return few
