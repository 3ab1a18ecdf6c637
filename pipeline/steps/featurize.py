"""Featurize: run the frozen part of the network over the images nobody has paid for yet."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import (
    Artifact,
    FeaturesManifest,
    Record,
    SplitManifest,
    WeightsManifest,
)
from pipeline.config import RunConfig
from pipeline.contract.preprocessing import Pixels, prepare
from pipeline.modeling.feature_cache import PACK_SIZE, cache_key, cached_images, write_pack
from pipeline.modeling.frozen import FrozenNetwork
from pipeline.modeling.weights import read_weights
from pipeline.run import RunContext
from pipeline.steps.images import read_images

log = logging.getLogger(__name__)


def featurize(
    split: Artifact[SplitManifest],
    shard: int,
    config: RunConfig,
    weights: Artifact[WeightsManifest],
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[FeaturesManifest]:
    """Make sure that every image of one shard has cached activations.

    Args:
        split: whose images are wanted.
        shard: 0 to `config.features.shards - 1`.
        config: contract and boundary.
        weights: the backbone's.
    """
    records = store.records(split)
    mine = [r for r in records if shard_of(r.sha256, config.features.shards) == shard]
    key = cache_key(config.contract, weights, config.features.boundary)
    known = cached_images(store, key)
    missing = [record for record in mine if record.sha256 not in known]
    log.info("featurize shard %d: %d images, %d to compute", shard, len(mine), len(missing))
    if missing:
        known |= _extract(missing, config, weights, key, store=store, run=run)
    packs = tuple(sorted({known[record.sha256] for record in mine}))
    manifest = FeaturesManifest(
        name=config.name,
        cache_key=key,
        packs=packs,
        inputs={"split": split.uri, "shard": str(shard)},
        counts={"images": len(mine)},
        **run.model_dump(),
    )
    with tempfile.TemporaryDirectory() as empty:
        artifact = store.publish(Path(empty), manifest)
    log.info("featurize shard %d done: %s", shard, artifact.uri)
    return artifact


def shard_of(sha256: str, shards: int) -> int:
    """Which shard an image is in, by the end of its hash: `limit` chooses by its beginning."""
    return int(sha256[-1], 16) % shards


def _extract(
    records: Sequence[Record],
    config: RunConfig,
    weights: Artifact[WeightsManifest],
    key: str,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> dict[str, str]:
    """Compute and store activations pack by pack; image hash to pack URI."""
    frozen = FrozenNetwork(
        config.contract,
        read_weights(store.read(weights, "weights.npz")),
        weights.manifest.normalization,
        config.features.boundary,
    )
    stored: dict[str, str] = {}
    crops_of = _crops(records, config, store)
    while group := list(islice(crops_of, PACK_SIZE)):
        images, crops = [sha for sha, _ in group], np.stack([crop for _, crop in group])
        size = config.features.batch_size
        parts = [frozen(crops[start : start + size]) for start in range(0, len(crops), size)]
        uri = write_pack(store, run, key, images, np.concatenate(parts))
        stored |= dict.fromkeys(images, uri)
        log.info("featurize: %d of %d images", len(stored), len(records))
    return stored


def _crops(
    records: Sequence[Record], config: RunConfig, store: ArtifactStore
) -> Iterator[tuple[str, Pixels]]:
    for record, data in read_images(store, records):
        yield record.sha256, prepare(data, config.contract).crop
