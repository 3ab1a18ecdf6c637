"""Feature cache: activations at the freeze boundary, computed once per crop.

A pack is an immutable artefact: `images.txt` (the name of one crop per line, see
`augmentation.crop_names`) and `activations.npy`, float16 in that order: region means (n, values) or
maps (n, height, width, channels). A cache is the set of packs under its key; new images add packs.
"""

import io
import json
import logging
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import MANIFEST, Artifact, PackManifest, WeightsManifest
from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.digests import sha256_bytes
from pipeline.engine.region_means import VERSION as REGIONS_VERSION
from pipeline.errors import ArtifactError
from pipeline.run_context import RunContext

log = logging.getLogger(__name__)

PACK_SIZE = 512
"""Most images in a pack, and therefore the most that a crash can lose."""
_ACTIVATIONS = "activations.npy"

Activations = NDArray[np.float16]


def cache_key(
    contract: ModelContract, weights: Artifact[WeightsManifest], features: FeaturesConfig
) -> str:
    """Key of the cache: hash of preprocessing, weights, freeze boundary and kind of activations."""
    parts = [
        contract.preprocessing_version,
        contract.input_size,
        contract.crop_margin,
        contract.crop_share,
        weights.digest,
        features.boundary,
        *(["regions", REGIONS_VERSION] if features.keep == "regions" else ["maps"]),
    ]
    return sha256_bytes(json.dumps(parts).encode())[:16]


def cached_crops(store: ArtifactStore, key: str, crops: AbstractSet[str]) -> dict[str, str]:
    """URI of the pack of each cached crop, by crop name; skips damaged packs with a warning."""
    cached: dict[str, str] = {}
    for item in store.objects.list(f"{store.root}/pack/{key}/"):
        if item.uri.endswith(f"/{MANIFEST}"):
            uri = item.uri.removesuffix(f"/{MANIFEST}")
            names = crops & set(_crop_names_if_intact(store, uri)) - cached.keys()
            if names and store.intact(uri, PackManifest) is not None:
                cached |= dict.fromkeys(names, uri)
    return cached


def _crop_names_if_intact(store: ArtifactStore, uri: str) -> list[str]:
    """Names of the crops in a pack; empty, with a warning, if the pack is damaged."""
    try:
        return _read_crop_names(store, store.open(uri, PackManifest))
    except ArtifactError as error:
        log.warning("skipping a damaged pack of the feature cache: %s", error)
        return []


def write_pack(
    store: ArtifactStore, run: RunContext, key: str, images: Sequence[str], values: Activations
) -> str:
    """Publish the activations of named crops as a pack; returns its URI."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images.txt").write_text("\n".join(images) + "\n")
        npy = io.BytesIO()  # np.save to a file does not report a full disk as such
        np.save(npy, values, allow_pickle=False)
        (Path(folder) / _ACTIVATIONS).write_bytes(npy.getbuffer())
        manifest = PackManifest(
            name=key, cache_key=key, counts={"images": len(images)}, **run.model_dump()
        )
        return store.publish(Path(folder), manifest).uri


@dataclass(frozen=True)
class ActivationFiles:
    """Downloaded packs, read row by row, so that memory does not grow with the data."""

    shape: tuple[int, ...]
    """Shape of one crop's activations: (values,) or (height, width, channels)."""
    rows: Mapping[str, tuple[Path, int]]
    """Name of a crop to its file and the offset of its row in bytes."""

    def read(self, crops: Sequence[str]) -> Activations:
        """Read the activations of `crops` in order (n, *shape); KeyError for an unknown crop."""
        count = math.prod(self.shape)
        values = np.empty((len(crops), count), np.float16)
        for row, crop in zip(values, crops, strict=True):
            path, offset = self.rows[crop]
            row[:] = np.fromfile(path, np.float16, count, offset=offset)
        return values.reshape(len(crops), *self.shape)


def fetch_activations(
    store: ArtifactStore, packs: Iterable[str], crops: Iterable[str], folder: Path
) -> ActivationFiles:
    """Download and index the packs that contain `crops`; KeyError if a crop is in none of them.

    Each call downloads them into `folder` again, and verifies them.
    """
    missing = set(crops)
    total = len(missing)
    rows: dict[str, tuple[Path, int]] = {}
    shape: tuple[int, ...] = ()
    for number, uri in enumerate(packs):
        pack = store.open(uri, PackManifest)
        names = _read_crop_names(store, pack)
        if missing.isdisjoint(names):
            continue
        path = store.fetch(pack, folder / str(number), [_ACTIVATIONS]) / _ACTIVATIONS
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        shape, row = stored.shape[1:], stored.strides[0]
        start = path.stat().st_size - stored.nbytes
        rows |= {name: (path, start + index * row) for index, name in enumerate(names)}
        missing -= set(names)
    if missing or not shape:
        raise KeyError(f"{len(missing)} of {total} crops have no cached activations")
    return ActivationFiles(shape, rows)


def _read_crop_names(store: ArtifactStore, pack: Artifact[PackManifest]) -> list[str]:
    return store.read(pack, "images.txt").decode().split()
