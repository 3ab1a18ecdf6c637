"""Activations at the freeze boundary, kept by content so that each image is paid for once.

A pack is an immutable artefact: `images.txt` (one image hash a line) and `activations.npy`
(n, height, width, channels) float16 in that order. The cache of one boundary is the set of packs
under its key; a new image only ever adds a pack.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import MANIFEST, Artifact, PackManifest, WeightsManifest
from pipeline.contract.spec import ModelContract
from pipeline.run import RunContext

PACK_SIZE = 512
"""Images a pack holds at most: what a crash can cost."""

Activations = NDArray[np.float16]


def cache_key(contract: ModelContract, weights: Artifact[WeightsManifest], boundary: str) -> str:
    """What activations depend on besides the image itself."""
    said = [
        contract.preprocessing_version,
        contract.input_size,
        contract.crop_margin,
        weights.digest,
        boundary,
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def cached_images(store: ArtifactStore, key: str) -> dict[str, str]:
    """Image hash to the URI of the pack that holds it."""
    found: dict[str, str] = {}
    for item in store.objects.list(f"{store.root}/pack/{key}/"):
        if item.uri.endswith(f"/{MANIFEST}"):
            uri = item.uri.removesuffix(f"/{MANIFEST}")
            pack = store.open(uri, PackManifest)
            found |= dict.fromkeys(_images(store, pack), uri)
    return found


def write_pack(
    store: ArtifactStore, run: RunContext, key: str, images: Sequence[str], values: Activations
) -> str:
    """Publish a pack and return its URI."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "images.txt").write_text("\n".join(images) + "\n")
        np.save(Path(folder) / "activations.npy", values, allow_pickle=False)
        manifest = PackManifest(
            name=key, cache_key=key, counts={"images": len(images)}, **run.model_dump()
        )
        return store.publish(Path(folder), manifest).uri


def load_activations(
    store: ArtifactStore, packs: Iterable[str], images: Sequence[str]
) -> Activations:
    """Activations of `images` in that order, shape (n, height, width, channels).

    Raises:
        KeyError: when no pack holds an image.
    """
    place = {image: row for row, image in enumerate(dict.fromkeys(images))}
    rows: Activations | None = None
    missing = set(place)
    for uri in packs:
        pack = store.open(uri, PackManifest)
        names = _images(store, pack)
        held = [(i, place[name]) for i, name in enumerate(names) if name in missing]
        if not held:
            continue
        with tempfile.TemporaryDirectory() as folder:
            store.fetch(pack, Path(folder), ["activations.npy"])
            values = np.load(Path(folder) / "activations.npy", mmap_mode="r", allow_pickle=False)
            if rows is None:
                rows = np.empty((len(place), *values.shape[1:]), np.float16)
            source, target = zip(*held, strict=True)
            rows[list(target)] = values[list(source)]
        missing -= set(names)
    if missing or rows is None:
        raise KeyError(f"{len(missing)} of {len(images)} images have no cached activations")
    return rows if len(place) == len(images) else rows[[place[image] for image in images]]


def _images(store: ArtifactStore, pack: Artifact[PackManifest]) -> list[str]:
    return store.read(pack, "images.txt").decode().split()
