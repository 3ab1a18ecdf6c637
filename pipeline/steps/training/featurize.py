"""Featurize: run the frozen part of the network over the images nobody has paid for yet."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.artifacts import Artifact, FeaturesManifest, SplitManifest, WeightsManifest
from pipeline.config import RunConfig
from pipeline.contract.decoding import Pixels
from pipeline.contract.preprocessing import prepare
from pipeline.engine.frozen import FrozenNetwork
from pipeline.modeling.augmentation import jittered, view_names
from pipeline.modeling.feature_cache import PACK_SIZE, cache_key, cached_crops, write_pack
from pipeline.modeling.weights import read_weights
from pipeline.records import FITTED, Record
from pipeline.run import RunContext

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
    """Make sure that every image of one shard that may be learned from has cached activations.

    Args:
        split: whose images are wanted.
        shard: 0 to `config.features.shards - 1`.
        config: contract and boundary.
        weights: the backbone's.
    """
    records = store.records(split)
    mine = [
        record
        for record in records
        # Nothing is learned from the activations of the locked test part or of the reserve.
        if record.part in FITTED and shard_of(record.sha256, config.features.shards) == shard
    ]
    views = {r.sha256: view_names(r.sha256, config.features.jitters) for r in mine}
    key = cache_key(config.contract, weights, config.features)
    known = cached_crops(store, key, {view for names in views.values() for view in names})
    missing = [record for record in mine if not known.keys() >= set(views[record.sha256])]
    log.info("featurize shard %d: %d images, %d to compute", shard, len(mine), len(missing))
    if missing:
        known |= _extract(missing, known.keys(), config, weights, key, store=store, run=run)
    packs = tuple(sorted({known[view] for names in views.values() for view in names}))
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
    known: AbstractSet[str],
    config: RunConfig,
    weights: Artifact[WeightsManifest],
    key: str,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> dict[str, str]:
    """Compute and store activations pack by pack; name of the crop to pack URI."""
    frozen = FrozenNetwork(
        config.contract,
        read_weights(store.read(weights, "weights.npz")),
        weights.manifest.normalization,
        config.features,
    )
    stored: dict[str, str] = {}
    crops_of = _crops(records, known, config, store)
    while group := list(islice(crops_of, PACK_SIZE)):
        names, crops = [name for name, _ in group], np.stack([crop for _, crop in group])
        uri = write_pack(store, run, key, names, frozen(crops, config.features.batch_size))
        stored |= dict.fromkeys(names, uri)
        log.info("featurize: %d crops of %d images", len(stored), len(records))
    return stored


def _crops(
    records: Sequence[Record], known: AbstractSet[str], config: RunConfig, store: ArtifactStore
) -> Iterator[tuple[str, Pixels]]:
    for record, data in read_images(store, records):
        prepared = prepare(data, config.contract)
        plain, *others = view_names(record.sha256, config.features.jitters)
        if plain not in known:
            yield plain, prepared.crop
        for name in others:
            if name not in known:
                yield name, jittered(prepared, config.contract, name)
