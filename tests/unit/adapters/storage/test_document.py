"""A document that several writers change: no change is lost, and no race is endless."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.adapters.storage import Document, LocalStore
from pipeline.adapters.storage.document import MAX_ATTEMPTS
from pipeline.errors import ArtifactError, ConflictError
from pipeline.records import Frozen


class Names(Frozen):
    """The document of these tests."""

    names: tuple[str, ...] = ()

    def with_name(self, name: str) -> "Names":
        """One name more."""
        return Names(names=(*self.names, name))


class Interrupted(LocalStore):
    """Calls a function right before each write."""

    def __init__(self) -> None:
        self.before_write: Callable[[], object] = lambda: None
        self.writes = 0

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        """As a local store does."""
        self.writes += 1
        self.before_write()
        return super().write(uri, data, if_match=if_match, if_absent=if_absent)


@pytest.fixture
def objects() -> Interrupted:
    """A store without an interruption."""
    return Interrupted()


def document(objects: LocalStore, folder: Path) -> Document[Names]:
    return Document(objects, f"{folder}/names.json", Names.model_validate_json, Names())


def test_a_missing_object_has_the_initial_value(objects: Interrupted, tmp_path: Path) -> None:
    """Nothing is written by reading, nor by a change that changes nothing."""
    names = document(objects, tmp_path)
    assert names.read() == (Names(), None)
    assert names.update(lambda value: value) == (Names(), Names())
    assert objects.writes == 0


@pytest.mark.parametrize("start", [(), ("first",)], ids=["absent", "present"])
def test_the_loser_of_a_race_applies_its_change_to_the_winners_value(
    objects: Interrupted, tmp_path: Path, start: tuple[str, ...]
) -> None:
    """Two writers: both names are in the document, and the loser learns what it was applied to."""
    names, other = document(objects, tmp_path), document(LocalStore(), tmp_path)
    if start:
        other.replace(Names(names=start), None)

    def once() -> None:
        objects.before_write = lambda: None
        other.update(lambda value: value.with_name("winner"))

    objects.before_write = once
    before, after = names.update(lambda value: value.with_name("loser"))
    assert before.names == (*start, "winner")
    assert after.names == (*start, "winner", "loser")
    assert names.read()[0] == after


def test_writers_at_once_lose_no_change(tmp_path: Path) -> None:
    """As many as there are attempts."""
    names = document(LocalStore(), tmp_path)
    with ThreadPoolExecutor(MAX_ATTEMPTS) as pool:
        list(
            pool.map(
                lambda n: names.update(lambda value: value.with_name(str(n))), range(MAX_ATTEMPTS)
            )
        )
    assert sorted(names.read()[0].names, key=int) == [str(n) for n in range(MAX_ATTEMPTS)]


def test_an_endless_race_is_a_conflict(objects: Interrupted, tmp_path: Path) -> None:
    """The attempts are counted, and the error names the object."""
    names, other = document(objects, tmp_path), document(LocalStore(), tmp_path)
    objects.before_write = lambda: other.update(lambda value: value.with_name("other"))
    with pytest.raises(ConflictError, match=rf"names\.json was changed .* {MAX_ATTEMPTS} times"):
        names.update(lambda value: value.with_name("mine"))
    assert objects.writes == MAX_ATTEMPTS


def test_a_replacement_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    """For work between reading and writing that must be done again."""
    names = document(LocalStore(), tmp_path)
    etag = names.replace(Names(names=("a",)), None)
    names.replace(Names(names=("b",)), etag)
    for stale in (None, etag):
        with pytest.raises(ConflictError):
            names.replace(Names(names=("c",)), stale)
    assert names.read()[0].names == ("b",)


def test_a_damaged_object_is_an_error(tmp_path: Path) -> None:
    """It is never taken for a missing one and overwritten."""
    (tmp_path / "names.json").write_text('{"names": 5}')
    with pytest.raises(ArtifactError, match=r"names\.json is damaged"):
        document(LocalStore(), tmp_path).update(lambda value: value.with_name("a"))
