"""Loading has a timeout, and a hanging bundle blocks nothing else."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bento_service.inference.classifier import Classifier
from bento_service.inference.model_loading import Loader, require_fast
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer
from pipeline.adapters.storage import LocalStore
from pipeline.errors import ArtifactError, SlowModelError


def loading() -> list[threading.Thread]:
    """Threads that load a bundle."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("load-")]


class HangingStore(LocalStore):
    """A store whose download of one bundle's weights hangs until it is released."""

    def __init__(self, bundle: str) -> None:
        self.release = threading.Event()
        self._uri = f"{bundle}/model.bin"

    def download(self, uri: str, path: Path) -> None:
        """Wait for the release."""
        if uri == self._uri:
            assert self.release.wait(60)
        super().download(uri, path)


def impatient(stage: Any, objects: LocalStore) -> Loader:
    """A loader with a short timeout."""
    store = ArtifactStore(objects, str(stage.root))
    return Loader(store, stage.contract.name, max_answer_ms=2000, timeout_s=0.2)


def load_in_time(loader: Loader, pointer: Pointer) -> Classifier:
    """Retry while it is still loading, as the follower does."""
    for _ in range(200):
        with contextlib.suppress(SlowModelError):
            return loader.load(pointer)
        time.sleep(0.1)
    pytest.fail("the bundle was not loaded in time")


def test_a_hanging_bundle_does_not_block_and_uses_one_thread(stage: Any, tmp_path: Path) -> None:
    """Each retry checks the same thread; a bundle that is ready in the end is served."""
    pointer = stage.point_to(stage.publish(tmp_path / "a"))
    objects = HangingStore(pointer.served)
    loader = impatient(stage, objects)
    for _ in range(3):
        with pytest.raises(SlowModelError, match="still loading"):
            loader.load(pointer)
        assert len(loading()) == 1
    objects.release.set()
    assert load_in_time(loader, pointer).tag == pointer.tag
    assert not loading()


def test_another_pointer_does_not_wait_for_a_hanging_bundle(stage: Any, tmp_path: Path) -> None:
    """The next model is loaded at the same time."""
    first = stage.point_to(stage.publish(tmp_path / "a", 0))
    objects = HangingStore(first.served)
    loader = impatient(stage, objects)
    with pytest.raises(SlowModelError):
        loader.load(first)
    (hanging,) = loading()
    second = stage.point_to(stage.publish(tmp_path / "b", 1))
    assert load_in_time(loader, second).tag == second.tag
    assert hanging.is_alive()
    objects.release.set()
    hanging.join(60)


def test_a_failure_is_not_cached(stage: Any, tmp_path: Path) -> None:
    """A repaired bundle is loaded by the next attempt."""
    loader = Loader(stage.artifacts, "blood_cells", max_answer_ms=2000)
    served = stage.publish(tmp_path / "a")
    pointer = stage.point_to(served)
    extra = Path(served.uri) / "extra"
    extra.touch()
    with pytest.raises(ArtifactError, match="does not list"):
        loader.load(pointer)
    extra.unlink()
    assert loader.load(pointer).tag == pointer.tag


def test_the_median_latency_has_a_limit() -> None:
    """A latency at the limit is accepted."""
    require_fast(2000, 2000)
    with pytest.raises(SlowModelError, match="2001 ms"):
        require_fast(2001, 2000)
