"""Random weights of VGG16's convolutions, for benchmarks and tests of shape and speed."""

import tempfile
from pathlib import Path

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import Artifact, WeightsManifest
from pipeline.engine.frozen_network import LAYERS, Arrays
from pipeline.run_context import RunContext

_WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


def draw_weights(seed: int = 0) -> Arrays:
    """Kernels and biases by layer, scaled to keep activations in range (He et al., ICCV 2015)."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    channels = 3
    for layer, width in zip(LAYERS, _WIDTHS, strict=True):
        spread = np.sqrt(2 / (9 * channels))
        kernel = rng.normal(0, spread, (3, 3, channels, width))
        arrays[f"{layer}/kernel"] = kernel.astype(np.float32)
        arrays[f"{layer}/bias"] = rng.normal(0, 0.1, width).astype(np.float32)
        channels = width
    return arrays


def publish_weights(store: ArtifactStore) -> Artifact[WeightsManifest]:
    """Publish random weights to the store, as `leukoflow weights` publishes downloaded ones."""
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "weights.npz", allow_pickle=False, **draw_weights())
        run = RunContext.now("random", "random").model_dump()
        manifest = WeightsManifest(name="vgg16", source="random", normalization="torch", **run)
        return store.publish(Path(folder), manifest)
