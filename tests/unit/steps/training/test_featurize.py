"""Shards of the mapped featurize tasks."""

import hashlib

from pipeline.steps.training.featurize import shard_of


def test_a_limited_archive_fills_all_shards() -> None:
    """`limit` takes the lowest hashes; those are spread evenly over the shards."""
    hashes = sorted(hashlib.sha256(str(n).encode()).hexdigest() for n in range(4000))[:200]
    counts = [sum(shard_of(sha, 4) == shard for sha in hashes) for shard in range(4)]
    assert sum(counts) == 200
    assert min(counts) > 25
