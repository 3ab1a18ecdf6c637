"""Featurize: compute the activations of the frozen network that the cache does not have yet."""

import logging
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, FeaturesManifest, SplitManifest, WeightsManifest
from pipeline.config.run_config import RunConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.preprocessing import prepare
from pipeline.engine.frozen_network import FrozenNetwork
from pipeline.modeling.augmentation import crop_names, jittered
from pipeline.modeling.feature_cache import (
    PACK_SIZE,
    Activations,
    cache_key,
    cached_crops,
    write_pack,
)
from pipeline.modeling.imagenet_weights import read_weights
from pipeline.records import FITTED, Record
from pipeline.run_context import RunContext

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardInputs:
    """One shard of a split, and the backbone's weights."""

    split: Artifact[SplitManifest]
    shard: int
    """0 to `config.features.shards - 1`."""
    weights: Artifact[WeightsManifest]


def featurize(
    inputs: ShardInputs, config: RunConfig, *, store: ArtifactStore, run: RunContext
) -> Artifact[FeaturesManifest]:
    """Publish the activations of a shard that are not cached yet; the result lists all its packs.

    Only images of the training and validation parts have activations.
    """
    shards = config.features.shards
    records = [
        record
        for record in store.records(inputs.split)
        if record.part in FITTED and shard_of(record.sha256, shards) == inputs.shard
    ]
    by_image = {r.sha256: crop_names(r.sha256, config.features.jitters) for r in records}
    names = {name for of_image in by_image.values() for name in of_image}
    key = cache_key(config.contract, inputs.weights, config.features)
    packs = cached_crops(store, key, names)
    missing = [record for record in records if not packs.keys() >= set(by_image[record.sha256])]
    log.info(
        "featurize shard %d: %d images, %d to compute", inputs.shard, len(by_image), len(missing)
    )
    if missing:
        crops = _missing_crops(missing, packs.keys(), config, store)
        network = _load_network(inputs.weights, config, store)
        packs |= _store_activations(crops, network, key, store=store, run=run)
    manifest = FeaturesManifest(
        name=config.name,
        cache_key=key,
        packs=tuple(sorted({packs[name] for name in names})),
        inputs={"split": inputs.split.uri, "shard": str(inputs.shard)},
        counts={"images": len(records)},
        **run.model_dump(),
    )
    artifact = store.publish_texts({}, manifest)  # its manifest lists the packs
    log.info("featurize shard %d done: %s", inputs.shard, artifact.uri)
    return artifact


def shard_of(sha256: str, shards: int) -> int:
    """Index of an image's shard, 0 to `shards` - 1, from the last hex digit of its hash."""
    # Not from the first digits, by which `ingest.limit` chooses images.
    return int(sha256[-1], 16) % shards


def _load_network(
    weights: Artifact[WeightsManifest], config: RunConfig, store: ArtifactStore
) -> Callable[[Pixels], Activations]:
    """Load the frozen network: crops (n, size, size, 3) to activations (n, ...)."""
    network = FrozenNetwork(
        config.contract,
        read_weights(store.read(weights, "weights.npz")),
        weights.manifest.normalization,
        config.features,
    )
    return lambda crops: network(crops, config.features.batch_size)


def _store_activations(
    crops: Iterator[tuple[str, Pixels]],
    network: Callable[[Pixels], Activations],
    key: str,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> dict[str, str]:
    """Publish the activations of named crops pack by pack; returns crop name to pack URI."""
    stored: dict[str, str] = {}
    while batch := list(islice(crops, PACK_SIZE)):
        names = [name for name, _ in batch]
        uri = write_pack(store, run, key, names, network(np.stack([crop for _, crop in batch])))
        stored |= dict.fromkeys(names, uri)
        log.info("featurize: %d crops stored", len(stored))
    return stored


def _missing_crops(
    records: Sequence[Record], cached: AbstractSet[str], config: RunConfig, store: ArtifactStore
) -> Iterator[tuple[str, Pixels]]:
    """Read the images; yield name and pixels of each crop that is not cached."""
    for record, data in read_images(store, records):
        prepared = prepare(data, config.contract)
        plain, *others = crop_names(record.sha256, config.features.jitters)
        if plain not in cached:
            yield plain, prepared.crop
        for name in others:
            if name not in cached:
                yield name, jittered(prepared, config.contract, name)
