"""Activations at the freeze boundary, kept by content so that each image is paid for once.

A pack is an immutable artefact: `images.txt` (one crop's name a line; an image's plain crop is
named by its hash, see `augmentation.view_names`) and `activations.npy`, float16 in that order:
regions (n, values) or maps (n, height, width, channels). The cache of one boundary is the set of
packs under its key; a new image only ever adds a pack.
"""

import hashlib
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
from pipeline.config import FeaturesConfig
from pipeline.contract.spec import ModelContract
from pipeline.engine.regions import VERSION as REGIONS_VERSION
from pipeline.errors import ArtifactError
from pipeline.run import RunContext

log = logging.getLogger(__name__)

PACK_SIZE = 512
"""Images a pack holds at most: what a crash can cost."""
_ACTIVATIONS = "activations.npy"

Activations = NDArray[np.float16]


def cache_key(
    contract: ModelContract, weights: Artifact[WeightsManifest], features: FeaturesConfig
) -> str:
    """What activations depend on besides the image itself."""
    said = [
        contract.preprocessing_version,
        contract.input_size,
        contract.crop_margin,
        contract.crop_share,
        weights.digest,
        features.boundary,
        *(["regions", REGIONS_VERSION] if features.keep == "regions" else ["maps"]),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def cached_crops(store: ArtifactStore, key: str, wanted: AbstractSet[str]) -> dict[str, str]:
    """Of the crops that are wanted, name to URI of a sound pack that holds it.

    A pack that was damaged since it was written does not count: its images are computed again.
    """
    found: dict[str, str] = {}
    for item in store.objects.list(f"{store.root}/pack/{key}/"):
        if item.uri.endswith(f"/{MANIFEST}"):
            uri = item.uri.removesuffix(f"/{MANIFEST}")
            held = wanted & set(_listed(store, uri)) - found.keys()
            if held and store.intact(uri, PackManifest) is not None:
                found |= dict.fromkeys(held, uri)
    return found


def _listed(store: ArtifactStore, uri: str) -> list[str]:
    try:
        return _images(store, store.open(uri, PackManifest))
    except ArtifactError as error:
        log.warning("damaged: %s", error)
        return []


def write_pack(
    store: ArtifactStore, run: RunContext, key: str, images: Sequence[str], values: Activations
) -> str:
    """Publish a pack and return its URI."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images.txt").write_text("\n".join(images) + "\n")
        npy = io.BytesIO()  # NumPy's own error on a full disk does not say that it is full
        np.save(npy, values, allow_pickle=False)
        (Path(folder) / _ACTIVATIONS).write_bytes(npy.getbuffer())
        manifest = PackManifest(
            name=key, cache_key=key, counts={"images": len(images)}, **run.model_dump()
        )
        return store.publish(Path(folder), manifest).uri


@dataclass(frozen=True)
class ActivationFiles:
    """Packs on this machine's disk, read row by row: memory does not grow with the data."""

    shape: tuple[int, ...]
    """Of what one crop left: (values,) of its regions, or (height, width, channels)."""
    places: Mapping[str, tuple[Path, int]]
    """Crop to its file and the byte where its row begins."""

    def read(self, crops: Sequence[str]) -> Activations:
        """Activations of `crops` in that order, (n, *shape)."""
        count = math.prod(self.shape)
        rows = np.empty((len(crops), count), np.float16)
        for row, crop in zip(rows, crops, strict=True):
            path, offset = self.places[crop]
            row[:] = np.fromfile(path, np.float16, count, offset=offset)
        return rows.reshape(len(crops), *self.shape)


def fetch_activations(
    store: ArtifactStore, packs: Iterable[str], crops: Iterable[str], folder: Path
) -> ActivationFiles:
    """Bring the packs that hold `crops` into `folder`, verified.

    Raises:
        KeyError: when no pack holds a crop.
    """
    missing = set(crops)
    wanted = len(missing)
    places: dict[str, tuple[Path, int]] = {}
    shape: tuple[int, ...] = ()
    for number, uri in enumerate(packs):
        pack = store.open(uri, PackManifest)
        names = _images(store, pack)
        if missing.isdisjoint(names):
            continue
        path = store.fetch(pack, folder / str(number), [_ACTIVATIONS]) / _ACTIVATIONS
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
        shape, row = stored.shape[1:], stored.strides[0]
        start = path.stat().st_size - stored.nbytes
        places |= {name: (path, start + place * row) for place, name in enumerate(names)}
        missing -= set(names)
    if missing or not shape:
        raise KeyError(f"{len(missing)} of {wanted} crops have no cached activations")
    return ActivationFiles(shape, places)


def _images(store: ArtifactStore, pack: Artifact[PackManifest]) -> list[str]:
    return store.read(pack, "images.txt").decode().split()
