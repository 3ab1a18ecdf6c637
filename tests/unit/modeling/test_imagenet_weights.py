"""The backbone's weights: downloaded once, verified, stored as plain arrays."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import WeightsManifest
from pipeline.engine.frozen_network import LAYERS, Arrays
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.modeling import imagenet_weights
from pipeline.modeling.imagenet_weights import ensure_shared_weights, ensure_weights, read_weights
from pipeline.run_context import RunContext

RUN = RunContext.now("test", "test")
WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty local store."""
    return ArtifactStore(LocalStore(), str(tmp_path / "store"))


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    """Arrays with VGG16's names and shapes."""
    made: Arrays = {}
    depth = 3
    for layer, width in zip(LAYERS, WIDTHS, strict=True):
        made[f"{layer}/kernel"] = np.zeros((3, 3, depth, width), np.float32)
        made[f"{layer}/bias"] = np.full(width, depth, np.float32)
        depth = width
    return made


@pytest.fixture
def write_npz(tmp_path: Path) -> Callable[[Arrays], str]:
    """Publish arrays somewhere else and return the path of their `.npz`."""

    def write(arrays: Arrays, normalization: Literal["torch", "caffe"] = "torch") -> str:
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        np.savez(folder / "weights.npz", allow_pickle=False, **arrays)
        manifest = WeightsManifest(
            name="vgg16", source="source", normalization=normalization, **RUN.model_dump()
        )
        elsewhere = ArtifactStore(LocalStore(), str(tmp_path / "elsewhere"))
        return f"{elsewhere.publish(folder, manifest).uri}/weights.npz"

    return write


def as_pickle(arrays: Arrays) -> bytes:
    """The layout of the published checkpoint."""
    layers = {
        f"Conv_{index}": {part: arrays[f"{layer}/{part}"] for part in ("kernel", "bias")}
        for index, layer in enumerate(LAYERS)
    }
    return pickle.dumps({"VGG16_0": layers})


def test_weights_round_trip(
    store: ArtifactStore, arrays: Arrays, write_npz: Callable[[Arrays], str]
) -> None:
    """The stored `.npz` has the same arrays, and its manifest counts the parameters."""
    artifact = ensure_weights(write_npz(arrays), store=store, run=RUN)
    assert artifact.manifest.counts == {"parameters": imagenet_weights.PARAMETERS}
    stored = read_weights(store.read(artifact, "weights.npz"))
    assert stored.keys() == arrays.keys()
    assert all((stored[name] == arrays[name]).all() for name in arrays)


def test_the_manifest_keeps_the_normalisation(
    store: ArtifactStore, arrays: Arrays, write_npz: Callable[..., str]
) -> None:
    """Weights from Keras expect Caffe's, also after a copy."""
    artifact = ensure_weights(write_npz(arrays, "caffe"), store=store, run=RUN)
    assert artifact.manifest.normalization == "caffe"


def test_changed_weights_are_refused(
    store: ArtifactStore, arrays: Arrays, write_npz: Callable[[Arrays], str]
) -> None:
    """A file that does not match the manifest next to it is never opened."""
    source = Path(write_npz(arrays))
    source.write_bytes(source.read_bytes() + b"x")
    with pytest.raises(ArtifactError, match="does not match the manifest"):
        ensure_weights(str(source), store=store, run=RUN)


def test_shared_weights_are_copied_from_the_local_store(
    store: ArtifactStore, tmp_path: Path, arrays: Arrays, write_npz: Callable[[Arrays], str]
) -> None:
    """The source is read once per machine, and both stores have the same digest."""
    local = ArtifactStore(LocalStore(), str(tmp_path / "local"))
    source = write_npz(arrays)
    downloaded = ensure_weights(source, store=local, run=RUN)
    Path(source).unlink()
    copied = ensure_shared_weights(source, local, store=store, run=RUN)
    assert copied.digest == downloaded.digest
    assert ensure_shared_weights(source, local, store=store, run=RUN).uri == copied.uri


def test_damaged_weights_are_replaced(
    store: ArtifactStore, tmp_path: Path, arrays: Arrays, write_npz: Callable[[Arrays], str]
) -> None:
    """In the shared and in the local store, from an intact copy or the source."""
    local, source = ArtifactStore(LocalStore(), str(tmp_path / "local")), write_npz(arrays)
    copied = ensure_shared_weights(source, local, store=store, run=RUN)
    for root in (store.root, local.root):
        (path,) = Path(root).rglob("weights.npz")
        path.write_bytes(path.read_bytes()[:-9])
        assert ensure_shared_weights(source, local, store=store, run=RUN).uri == copied.uri
        assert store.intact(copied.uri, WeightsManifest) is not None


def test_a_source_is_read_once(
    store: ArtifactStore, arrays: Arrays, write_npz: Callable[[Arrays], str]
) -> None:
    """Later runs need no access to the source."""
    source = write_npz(arrays)
    first = ensure_weights(source, store=store, run=RUN)
    Path(source).unlink()
    assert ensure_weights(source, store=store, run=RUN).uri == first.uri


def test_the_checkpoint_is_read_as_arrays(arrays: Arrays) -> None:
    """Convolution n of the pickle is layer n of VGG16."""
    read = imagenet_weights._from_pickle(as_pickle(arrays))
    assert all((read[name] == arrays[name]).all() for name in arrays)


class Evil:
    """Its pickle calls print."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("unpickled",)


def named(module: str, name: str) -> bytes:
    """A pickle that loads one global."""
    return f"c{module}\n{name}\n.".encode()


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()),
        named("os", "system"),
        named("builtins", "eval"),
        named("numpy", "load"),
        named("numpy.lib.npyio", "DataSource"),
    ],
    ids=["print", "os.system", "eval", "numpy.load", "DataSource"],
)
def test_the_unpickler_allows_arrays_only(data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """Other objects are refused before they are imported or called."""
    with pytest.raises(ArtifactError, match="objects other than arrays"):
        imagenet_weights._from_pickle(data)
    assert capsys.readouterr().out == ""


def test_a_checkpoint_of_objects_is_refused() -> None:
    """An array of Python objects contains another pickle."""
    smuggled = pickle.dumps(np.array([Evil()], dtype=object))
    with pytest.raises(ArtifactError, match="objects other than arrays"):
        imagenet_weights._from_pickle(smuggled)


def test_arrays_of_another_network_are_refused(
    store: ArtifactStore, arrays: Arrays, write_npz: Callable[[Arrays], str]
) -> None:
    """A missing layer or another size: nothing is stored."""
    lacking = {name: array for name, array in arrays.items() if name != "block1_conv1/bias"}
    smaller = arrays | {"block1_conv1/bias": np.zeros(32, np.float32)}
    for wrong in (lacking, smaller, {}):
        with pytest.raises(ArtifactError, match=r"not VGG16's convolutions.*26 arrays"):
            ensure_weights(write_npz(wrong), store=store, run=RUN)
    assert list(store.objects.list(f"{store.root}/")) == []


def objects_npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=True, kernel=np.array([{}], dtype=object))
    return out.getvalue()


@pytest.mark.parametrize(
    "data", [b"", b"<html>not found</html>", objects_npz(), objects_npz()[:-40]]
)
def test_a_file_without_plain_arrays_is_refused(data: bytes) -> None:
    """A login page, a pickle inside an `.npz`, a truncated download."""
    with pytest.raises(ArtifactError, match="plain arrays"):
        read_weights(data)


@pytest.mark.parametrize("source", ["", "imagenet", "/models/vgg16.h5"])
def test_an_unknown_source_is_refused(store: ArtifactStore, source: str) -> None:
    """The error names WEIGHTS_URI and its valid values."""
    with pytest.raises(InvalidInputError, match=r"WEIGHTS_URI.*pypi, keras"):
        ensure_weights(source, store=store, run=RUN)
