"""Following the pointer: on any failure the previous model stays."""

from pathlib import Path
from typing import Any

import pytest

from bento_service import metrics
from bento_service.inference.model_loading import Loader
from bento_service.inference.pointer_follower import PointerFollower
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.errors import UnreachableError


def follower(stage: Any) -> PointerFollower:
    loader = Loader(stage.artifacts, stage.contract.name, max_answer_ms=2000)
    return PointerFollower(stage.pointers, loader)


def tag(following: PointerFollower) -> str:
    assert following.current is not None
    return following.current.classifier.tag


def test_no_pointer_means_no_model(stage: Any) -> None:
    """Before the first promotion there is nothing to serve, and that is no failure."""
    following = follower(stage)
    following.poll()
    assert following.current is None


def test_every_move_is_followed_also_back_to_an_earlier_model(stage: Any, tmp_path: Path) -> None:
    """A rollback returns to an earlier model; only the sequence number is new."""
    first, second = stage.publish(tmp_path / "a", 0), stage.publish(tmp_path / "b", 1)
    following = follower(stage)
    tags = []
    for served in (first, second, first):
        stage.point_to(served)
        following.poll()
        tags.append(tag(following))
    assert tags == [first.manifest.tag, second.manifest.tag, first.manifest.tag]


def test_an_unmoved_pointer_loads_nothing(stage: Any, tmp_path: Path) -> None:
    """Polling is cheap: the same entry keeps the same classifier."""
    stage.point_to(stage.publish(tmp_path / "a"))
    following = follower(stage)
    following.poll()
    before = following.current
    following.poll()
    assert following.current is before


def test_a_tampered_bundle_is_refused_and_not_fetched_again_at_once(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model with a changed file is refused; repaired, it is served after the retry delay."""
    first, second = stage.publish(tmp_path / "a", 0), stage.publish(tmp_path / "b", 1)
    stage.point_to(first)
    following = follower(stage)
    following.poll()
    weights = Path(second.uri) / "model.bin"
    genuine = weights.read_bytes()
    weights.write_bytes(genuine[:-1] + b"!")
    stage.point_to(second)
    following.poll()
    assert tag(following) == first.manifest.tag
    weights.write_bytes(genuine)
    following.poll()
    assert tag(following) == first.manifest.tag
    monkeypatch.setattr(following, "_retry_at", 0.0)
    following.poll()
    assert tag(following) == second.manifest.tag


def test_a_pointer_to_another_model_is_refused(stage: Any, tmp_path: Path) -> None:
    """The tag in the pointer must be the bundle's own."""
    served = stage.publish(tmp_path / "a")
    pointer = stage.point_to(served)
    stage.pointers.move(pointer.model_copy(update={"tag": "blood_cells:ffffffffffff"}), pointer)
    following = follower(stage)
    following.poll()
    assert following.current is None


class Unreachable(PointerStore):
    """A pointer store whose object store is down."""

    def read(self) -> Pointer | None:
        """Fail as a store that does not answer."""
        raise UnreachableError("S3 does not answer")


def test_a_store_that_is_down_changes_nothing(stage: Any, tmp_path: Path) -> None:
    """The served model does not depend on the store once it is loaded."""
    served = stage.publish(tmp_path / "a")
    stage.point_to(served)
    following = follower(stage)
    following.poll()
    following._pointers = Unreachable(stage.artifacts.objects, str(stage.root), "blood_cells")
    following.poll()
    assert tag(following) == served.manifest.tag


def test_an_hour_without_the_store_is_two_lines_in_the_log(
    stage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when it becomes unreachable, one when it recovers; attempts between are counted."""
    stage.point_to(stage.publish(tmp_path / "a"))
    following = follower(stage)
    following.poll()
    reachable = following._pointers
    following._pointers = Unreachable(stage.artifacts.objects, str(stage.root), "blood_cells")
    before = metrics.POINTER_FAILURES._value.get()
    caplog.clear()
    for _ in range(1800):
        following.poll()
    following._pointers = reachable
    following.poll()
    unreachable, recovered = caplog.messages
    assert "is unreachable" in unreachable
    assert "is reachable again after 0 s (1800 failed attempts)" in recovered
    assert metrics.POINTER_FAILURES._value.get() == before + 1800


def test_a_pointer_that_is_gone_is_an_reachability(
    stage: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A pointer that disappears does not unload the model."""
    served = stage.publish(tmp_path / "a")
    stage.point_to(served)
    following = follower(stage)
    following.poll()
    (stage.root / "pointer/blood_cells/pointer.json").unlink()
    following.poll()
    assert tag(following) == served.manifest.tag
    assert "the pointer has disappeared" in caplog.text
