"""How images are shared out over featurize's mapped tasks."""

import hashlib

from pipeline.steps.training.featurize import shard_of


def test_a_limited_archive_is_shared_out_too() -> None:
    """The images with the lowest hashes, which `limit` takes, fall into all shards alike."""
    hashes = sorted(hashlib.sha256(str(n).encode()).hexdigest() for n in range(4000))[:200]
    counts = [sum(shard_of(sha, 4) == shard for sha in hashes) for shard in range(4)]
    assert sum(counts) == 200
    assert min(counts) > 25
