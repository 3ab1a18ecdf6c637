"""A bundle gets limited time to load and to answer, and hangs alone."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bento_service.inference.classifier import Classifier
from bento_service.inference.loading import Loader, require_fast
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer
from pipeline.adapters.storage import LocalStore
from pipeline.errors import ArtifactError, SlowModelError


def loading() -> list[threading.Thread]:
    """Threads that load a bundle."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("load-")]


class Hanging(LocalStore):
    """A store that does not come to an end with the weights of one bundle."""

    def __init__(self, bundle: str) -> None:
        self.goes_on = threading.Event()
        self._uri = f"{bundle}/model.bin"

    def download(self, uri: str, path: Path) -> None:
        """Wait until it is let go."""
        if uri == self._uri:
            assert self.goes_on.wait(60)
        super().download(uri, path)


def hasty(stage: Any, objects: LocalStore) -> Loader:
    """A loader that gives a bundle a moment."""
    store = ArtifactStore(objects, str(stage.root))
    return Loader(store, stage.contract.name, max_answer_ms=2000, patience=0.2)


def load_in_time(loader: Loader, pointer: Pointer) -> Classifier:
    """Ask again while it is still loading, as the follower does."""
    for _ in range(200):
        with contextlib.suppress(SlowModelError):
            return loader.load(pointer)
        time.sleep(0.1)
    pytest.fail("it never loads")


def test_a_hanging_bundle_gives_the_caller_back_and_is_waited_for_in_one_thread(
    stage: Any, tmp_path: Path
) -> None:
    """Each try looks at the same thread; what is ready in the end is served."""
    pointer = stage.point_to(stage.publish(tmp_path / "a"))
    objects = Hanging(pointer.served)
    loader = hasty(stage, objects)
    for _ in range(3):
        with pytest.raises(SlowModelError, match="still loading"):
            loader.load(pointer)
        assert len(loading()) == 1
    objects.goes_on.set()
    assert load_in_time(loader, pointer).tag == pointer.tag
    assert not loading()


def test_a_move_does_not_wait_for_a_bundle_that_hangs(stage: Any, tmp_path: Path) -> None:
    """The next model is loaded beside it."""
    first = stage.point_to(stage.publish(tmp_path / "a", 0))
    objects = Hanging(first.served)
    loader = hasty(stage, objects)
    with pytest.raises(SlowModelError):
        loader.load(first)
    (hanging,) = loading()
    second = stage.point_to(stage.publish(tmp_path / "b", 1))
    assert load_in_time(loader, second).tag == second.tag
    assert hanging.is_alive()
    objects.goes_on.set()
    hanging.join(60)


def test_a_failure_is_raised_and_forgotten(stage: Any, tmp_path: Path) -> None:
    """A bundle that was mended is loaded by the next try."""
    loader = Loader(stage.artifacts, "blood_cells", max_answer_ms=2000)
    served = stage.publish(tmp_path / "a")
    pointer = stage.point_to(served)
    extra = Path(served.uri) / "extra"
    extra.touch()
    with pytest.raises(ArtifactError, match="does not name"):
        loader.load(pointer)
    extra.unlink()
    assert loader.load(pointer).tag == pointer.tag


def test_the_median_answer_has_a_limit() -> None:
    """At the limit a model is fast enough."""
    require_fast(2000, 2000)
    with pytest.raises(SlowModelError, match="2001 ms"):
        require_fast(2001, 2000)
