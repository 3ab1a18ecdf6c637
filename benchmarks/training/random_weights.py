"""VGG16's convolutions drawn at random, where only shape and speed count."""

import tempfile
from pathlib import Path

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, WeightsManifest
from pipeline.engine.frozen import LAYERS, Arrays
from pipeline.run import RunContext

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def draw_weights(seed: int = 0) -> Arrays:
    """Kernels and biases that keep activations in range (He et al., ICCV 2015)."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    before = 3
    for layer, width in zip(LAYERS, _WIDTHS, strict=True):
        spread = np.sqrt(2 / (9 * before))
        kernel = rng.normal(0, spread, (3, 3, before, width))
        arrays[f"{layer}/kernel"] = kernel.astype(np.float32)
        arrays[f"{layer}/bias"] = rng.normal(0, 0.1, width).astype(np.float32)
        before = width
    return arrays


def publish_weights(store: ArtifactStore) -> Artifact[WeightsManifest]:
    """The same as `leukoflow weights` would keep them, in place of what is downloaded."""
    circumstances = RunContext.now("random", "random").model_dump()
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "weights.npz", allow_pickle=False, **draw_weights())
        manifest = WeightsManifest(
            name="vgg16", source="random", normalization="torch", **circumstances
        )
        return store.publish(Path(folder), manifest)
