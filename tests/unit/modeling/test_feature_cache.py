"""Activations are kept by content and paid for once."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, WeightsManifest
from pipeline.config import FeaturesConfig
from pipeline.contract.spec import ModelContract
from pipeline.errors import ArtifactError
from pipeline.modeling.feature_cache import (
    Activations,
    cache_key,
    cached_crops,
    fetch_activations,
    write_pack,
)
from pipeline.run import RunContext

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


def test_the_key_is_everything_that_activations_depend_on() -> None:
    """Another crop, scale, size, preprocessing, backbone, boundary or kind is another cache."""
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


def test_the_key_ignores_what_activations_do_not_depend_on() -> None:
    """Names, classes and thresholds share one cache: the demo pays for nobody twice."""
    other = ModelContract(name="demo", classes=("A", "B", "C"), golden_tolerance=0.01)
    assert cache_key(CONTRACT, weights(), MAPS) == cache_key(other, weights(), MAPS)


def test_activations_come_in_the_order_asked_for(store: ArtifactStore, tmp_path: Path) -> None:
    """From as many packs as hold them, bit for bit, also twice."""
    packs = [
        write_pack(store, RUN, "key", ["a", "b"], values(1, 2)),
        write_pack(store, RUN, "key", ["c"], values(3)),
    ]
    files = fetch_activations(store, packs, ["a", "c"], tmp_path / "here")
    assert files.shape == (2, 2, 3)
    np.testing.assert_array_equal(files.read(["c", "a", "c"]), values(3, 1, 3))


def test_only_packs_that_are_needed_are_brought(store: ArtifactStore, tmp_path: Path) -> None:
    """A pack of other images, which is 30 MB in earnest, stays where it is."""
    packs = [
        write_pack(store, RUN, "key", [name], values(number)) for number, name in enumerate("abc")
    ]
    fetch_activations(store, packs, ["b"], tmp_path / "here")
    assert len(list((tmp_path / "here").rglob("activations.npy"))) == 1


def test_packs_that_overlap_count_once(store: ArtifactStore, tmp_path: Path) -> None:
    """Two workers that computed the same image meanwhile do no harm."""
    packs = [
        write_pack(store, RUN, "key", ["a", "b"], values(1, 2)),
        write_pack(store, RUN, "key", ["b", "c"], values(2, 3)),
    ]
    files = fetch_activations(store, packs, ["a", "b", "c"], tmp_path / "here")
    np.testing.assert_array_equal(files.read(["a", "b", "c"]), values(1, 2, 3))


def test_a_missing_image_is_named_as_missing(store: ArtifactStore, tmp_path: Path) -> None:
    """Training never starts on rows that nobody computed."""
    pack = write_pack(store, RUN, "key", ["a"], values(1))
    with pytest.raises(KeyError, match="1 of 2 crops"):
        fetch_activations(store, [pack], ["a", "b"], tmp_path / "here")
    with pytest.raises(KeyError, match="1 of 1 crops"):
        fetch_activations(store, [], ["a"], tmp_path / "there")


def test_the_cache_lists_what_it_holds_under_its_key(store: ArtifactStore) -> None:
    """Nothing of another boundary, and nothing that was not closed by its manifest."""
    first = write_pack(store, RUN, "key", ["a", "b"], values(1, 2))
    write_pack(store, RUN, "key2", ["c"], values(3))
    torn = write_pack(store, RUN, "key", ["d"], values(4))
    (Path(torn) / "manifest.json").unlink()
    assert cached_crops(store, "key", set("abcd")) == {"a": first, "b": first}
    assert cached_crops(store, "key", {"b", "z"}) == {"b": first}
    assert cached_crops(store, "ke", set("abcd")) == {}


@pytest.mark.parametrize("file", ["activations.npy", "images.txt", "manifest.json"])
def test_a_truncated_pack_is_not_known_and_is_mended_by_the_next(
    store: ArtifactStore, file: str
) -> None:
    """Whichever file lost its end, writing the same images again makes the pack whole."""
    sound = write_pack(store, RUN, "key", ["a"], values(1))
    torn = write_pack(store, RUN, "key", ["b"], values(2))
    path = Path(torn) / file
    path.write_bytes(path.read_bytes()[:-2])
    assert cached_crops(store, "key", {"a", "b"}) == {"a": sound}
    assert write_pack(store, RUN, "key", ["b"], values(2)) == torn
    assert cached_crops(store, "key", {"a", "b"}) == {"a": sound, "b": torn}


def test_a_changed_pack_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    """A flipped byte in the cache never reaches a training."""
    pack = write_pack(store, RUN, "key", ["a"], values(1))
    path = Path(pack) / "activations.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(ArtifactError, match=r"activations.npy does not match"):
        fetch_activations(store, [pack], ["a"], tmp_path / "here")
