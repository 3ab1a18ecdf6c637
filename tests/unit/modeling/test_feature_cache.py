"""Activations are cached by content and computed once."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, WeightsManifest
from pipeline.config.hyperparameters import FeaturesConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import ArtifactError
from pipeline.modeling.feature_cache import (
    Activations,
    cache_key,
    cached_crops,
    fetch_activations,
    write_pack,
)
from pipeline.run_context import RunContext

RUN = RunContext.now("test", "test")
CONTRACT = ModelContract(name="cells", classes=("ROUND", "LOBED"))


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty local store."""
    return ArtifactStore(LocalStore(), str(tmp_path))


def weights(source: str = "pypi") -> Artifact[WeightsManifest]:
    manifest = WeightsManifest(
        name="vgg16",
        source=source,
        normalization="torch",
        run_id="test",
        code_version="test",
        created_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    return Artifact("weights", manifest)


MAPS = FeaturesConfig(keep="maps", boundary="block5_pool")


def values(*numbers: int) -> Activations:
    return np.stack([np.full((2, 2, 3), number, np.float16) for number in numbers])


def test_the_key_covers_everything_that_activations_depend_on() -> None:
    """Another crop, scale, size, preprocessing, backbone, boundary or kind gives another key."""
    changed = (
        (CONTRACT.model_copy(update={"input_size": 96}), weights(), MAPS),
        (CONTRACT.model_copy(update={"crop_margin": 3.0}), weights(), MAPS),
        (CONTRACT.model_copy(update={"preprocessing_version": "0"}), weights(), MAPS),
        (CONTRACT.model_copy(update={"crop_share": 0.4}), weights(), MAPS),
        (CONTRACT, weights(), FeaturesConfig(boundary="block5_pool")),
        (CONTRACT, weights("keras"), MAPS),
        (CONTRACT, weights(), FeaturesConfig(keep="maps", boundary="block4_pool")),
    )
    keys = {cache_key(*one) for one in ((CONTRACT, weights(), MAPS), *changed)}
    assert len(keys) == 1 + len(changed)


def test_the_key_ignores_everything_else() -> None:
    """Configs with other names, classes and thresholds share one cache."""
    other = ModelContract(name="demo", classes=("A", "B", "C"), golden_tolerance=0.01)
    assert cache_key(CONTRACT, weights(), MAPS) == cache_key(other, weights(), MAPS)


def test_activations_are_in_the_order_of_the_crops(store: ArtifactStore, tmp_path: Path) -> None:
    """From several packs, bit for bit, also repeated."""
    packs = [
        write_pack(store, RUN, "key", ["a", "b"], values(1, 2)),
        write_pack(store, RUN, "key", ["c"], values(3)),
    ]
    files = fetch_activations(store, packs, ["a", "c"], tmp_path / "here")
    assert files.shape == (2, 2, 3)
    np.testing.assert_array_equal(files.read(["c", "a", "c"]), values(3, 1, 3))


def test_only_the_needed_packs_are_downloaded(store: ArtifactStore, tmp_path: Path) -> None:
    """A real pack has up to 30 MB."""
    packs = [
        write_pack(store, RUN, "key", [name], values(number)) for number, name in enumerate("abc")
    ]
    fetch_activations(store, packs, ["b"], tmp_path / "here")
    assert len(list((tmp_path / "here").rglob("activations.npy"))) == 1


def test_packs_that_overlap_count_once(store: ArtifactStore, tmp_path: Path) -> None:
    """Two workers may compute the same image concurrently."""
    packs = [
        write_pack(store, RUN, "key", ["a", "b"], values(1, 2)),
        write_pack(store, RUN, "key", ["b", "c"], values(2, 3)),
    ]
    files = fetch_activations(store, packs, ["a", "b", "c"], tmp_path / "here")
    np.testing.assert_array_equal(files.read(["a", "b", "c"]), values(1, 2, 3))


def test_missing_crops_are_an_error(store: ArtifactStore, tmp_path: Path) -> None:
    """Training does not start without their activations."""
    pack = write_pack(store, RUN, "key", ["a"], values(1))
    with pytest.raises(KeyError, match="1 of 2 crops"):
        fetch_activations(store, [pack], ["a", "b"], tmp_path / "here")
    with pytest.raises(KeyError, match="1 of 1 crops"):
        fetch_activations(store, [], ["a"], tmp_path / "there")


def test_the_cache_lists_the_crops_under_its_key(store: ArtifactStore) -> None:
    """Not those under another key, and not those of a pack without a manifest."""
    first = write_pack(store, RUN, "key", ["a", "b"], values(1, 2))
    write_pack(store, RUN, "key2", ["c"], values(3))
    truncated = write_pack(store, RUN, "key", ["d"], values(4))
    (Path(truncated) / "manifest.json").unlink()
    assert cached_crops(store, "key", set("abcd")) == {"a": first, "b": first}
    assert cached_crops(store, "key", {"b", "z"}) == {"b": first}
    assert cached_crops(store, "ke", set("abcd")) == {}


@pytest.mark.parametrize("file", ["activations.npy", "images.txt", "manifest.json"])
def test_a_truncated_pack_is_skipped_and_replaced_by_the_next(
    store: ArtifactStore, file: str
) -> None:
    """For each file; writing the same images again repairs the pack."""
    sound = write_pack(store, RUN, "key", ["a"], values(1))
    truncated = write_pack(store, RUN, "key", ["b"], values(2))
    path = Path(truncated) / file
    path.write_bytes(path.read_bytes()[:-2])
    assert cached_crops(store, "key", {"a", "b"}) == {"a": sound}
    assert write_pack(store, RUN, "key", ["b"], values(2)) == truncated
    assert cached_crops(store, "key", {"a", "b"}) == {"a": sound, "b": truncated}


def test_a_changed_pack_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    """Training never reads a flipped byte of the cache."""
    pack = write_pack(store, RUN, "key", ["a"], values(1))
    path = Path(pack) / "activations.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ArtifactError, match=r"activations.npy does not match"):
        fetch_activations(store, [pack], ["a"], tmp_path / "here")
