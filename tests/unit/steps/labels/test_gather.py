"""Returned labels become one archive, once, whatever is repeated or killed in between."""

import hashlib
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config import GatherConfig, IngestConfig, RunConfig
from pipeline.contract.prediction_log import kept_path
from pipeline.errors import ConflictError, UnreachableError
from pipeline.run import RunContext
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.watch import new_archives
from pipeline.steps.labels.gather import Returned, gather, report_uri
from tests.unit.steps.labels.test_returned_labels import NOON, answer, said

CONFIG = GatherConfig(min_labels=3)
LABELS = ("ROUND", "LOBED")


class World:
    """A store with answers, kept images and labels of the model `cells`."""

    def __init__(self, store: ArtifactStore, draw: Callable[..., bytes]) -> None:
        self.store = store
        self._draw = draw
        self._segments = 0

    def answered(self, *numbers: int) -> None:
        """Each number is an image and, as a word, its request id."""
        lines = []
        for number in numbers:
            image = self._draw(number)
            sha256 = hashlib.sha256(image).hexdigest()
            lines.append(answer(str(number), sha256))
            self._write(f"kept/cells/{kept_path(NOON, sha256)}", image)
        self._segment("logs", "".join(line.model_dump_json() + "\n" for line in lines))

    def labelled(self, *numbers: int, label: str = "", minutes: int = 0) -> None:
        """Without a label even numbers are round and odd ones lobed."""
        lines = [said(str(n), label or LABELS[n % 2], minutes) for n in numbers]
        self._segment("feedback", "".join(line.model_dump_json() + "\n" for line in lines))

    def gather(self, days: int = 0) -> Returned:
        """Some days after noon."""
        now = NOON + timedelta(days=days, hours=1)
        run = RunContext(run_id="test", code_version="test", created_at=now)
        return gather("cells", CONFIG, store=self.store, run=run)

    def archives(self) -> list[str]:
        """URIs of all archives."""
        return [item.uri for item in self.store.objects.list(f"{self.store.root}/archives/")]

    def kept(self, number: int) -> Path:
        """The file of a kept image."""
        sha256 = hashlib.sha256(self._draw(number)).hexdigest()
        return Path(self.store.root) / "kept/cells" / kept_path(NOON, sha256)

    def _segment(self, kind: str, body: str) -> None:
        self._segments += 1
        self._write(f"{kind}/cells/{NOON.date()}/w-{self._segments:06d}.jsonl", body.encode())

    def _write(self, path: str, data: bytes) -> None:
        self.store.objects.write(f"{self.store.root}/{path}", data)


@pytest.fixture
def world(store: ArtifactStore, draw: Callable[..., bytes]) -> World:
    """An empty world."""
    return World(store, draw)


def test_enough_labels_become_an_archive_that_ingest_takes(
    world: World, config: RunConfig, run: RunContext
) -> None:
    """Its images carry the returned labels, and the watcher sees one new archive."""
    world.answered(*range(4))
    world.labelled(*range(4))
    returned = world.gather()
    assert (returned.labels, returned.agreeing, returned.disagreeing) == (4, 2, 2)
    assert (returned.usable, returned.gathered, returned.waiting) == (4, 4, 0)
    assert world.archives() == [returned.archive]
    snapshot = ingest([], config, store=world.store, run=run)
    records = world.store.records(snapshot)
    assert {(r.sha256, r.label) for r in records} == {
        (world.kept(n).stem, LABELS[n % 2]) for n in range(4)
    }
    assert len(new_archives("cells", store=world.store)) == 1


def test_too_few_labels_wait(world: World) -> None:
    """They are counted, also where the report site shows it, and used with later ones."""
    world.answered(*range(4))
    world.labelled(0, 1)
    assert (world.gather().archive, world.gather().waiting) == ("", 2)
    shown = world.store.objects.read(report_uri("cells", world.store))
    assert Returned.model_validate_json(shown).waiting == 2
    world.labelled(2)
    assert world.gather().gathered == 3


def test_no_label_is_used_twice(world: World) -> None:
    """A second gathering finds nothing new; a third takes only what came since."""
    world.answered(*range(7))
    world.labelled(*range(3))
    first = world.gather()
    again = world.gather()
    assert (again.archive, again.gathered, again.waiting, again.usable) == ("", 0, 0, 3)
    world.labelled(*range(3, 7))
    second = world.gather()
    assert second.gathered == 4
    assert sorted(world.archives()) == sorted([first.archive, second.archive])


def test_an_archive_that_a_person_took_away_stays_away(world: World) -> None:
    """Its labels were used; who deletes it does not want them."""
    world.answered(*range(3))
    world.labelled(*range(3))
    Path(world.gather().archive).unlink()
    assert world.gather().archive == ""
    assert world.archives() == []


def test_a_killed_gathering_is_finished_with_the_same_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after the archive stands, also with new labels meanwhile: one archive."""
    world.answered(*range(8))
    world.labelled(*range(3))

    def lost(*_: object, **__: object) -> None:
        raise UnreachableError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "upload", lost)
        with pytest.raises(UnreachableError):
            world.gather()
    world.labelled(*range(3, 7))
    state = Path(world.store.root) / "returned/cells.json"
    pending = state.read_bytes()
    first = world.gather()
    assert first.gathered == 3
    body = Path(first.archive).read_bytes()
    state.write_bytes(pending)  # as if it had been killed after the archive was written
    assert world.gather().archive == first.archive
    assert Path(first.archive).read_bytes() == body
    assert world.gather().gathered == 4
    assert len(world.archives()) == 2


def test_two_at_once_write_one_archive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who loses the compare-and-set is told so and may try again."""
    world.answered(*range(3))
    world.labelled(*range(3))
    listed = LocalStore.stat

    def other_first(self: LocalStore, uri: str) -> object:
        if uri.endswith(".png"):  # so the state was read before
            monkeypatch.setattr(LocalStore, "stat", listed)
            world.gather()
        return listed(self, uri)

    monkeypatch.setattr(LocalStore, "stat", other_first)
    with pytest.raises(ConflictError):
        world.gather()
    assert len(world.archives()) == 1
    assert world.gather().archive == ""


def test_an_image_that_is_not_there_is_not_used(world: World) -> None:
    """Gone, or damaged by a power cut: counted or left out, and the others go on."""
    world.answered(*range(6))
    world.labelled(*range(5))
    world.kept(0).unlink()
    world.kept(1).write_bytes(world.kept(1).read_bytes()[:100])
    returned = world.gather()
    assert (returned.not_kept, returned.usable, returned.gathered) == (1, 4, 3)
    with zipfile.ZipFile(returned.archive) as archive:
        names = set(archive.namelist())
    assert names == {"manifest.csv", *(f"returned/{world.kept(n).name}" for n in (2, 3, 4))}


def test_an_image_too_large_for_ingest_spoils_no_archive(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingest would refuse the whole archive for it."""
    world.answered(*range(4))
    world.labelled(*range(4))
    limit = IngestConfig().max_member_bytes
    with world.kept(0).open("ab") as stream:
        stream.truncate(limit + 1)
    returned = world.gather()
    assert (returned.not_kept, returned.gathered) == (1, 3)


def test_a_corrected_label_counts_as_new(world: World) -> None:
    """The data gate then sets the image aside: it stands under two labels."""
    world.answered(*range(3))
    world.labelled(*range(3))
    world.gather()
    world.labelled(*range(3), label="LOBED", minutes=5)
    assert world.gather().waiting == 2  # number 1 was lobed already


def test_old_labels_and_torn_lines_are_passed_over(world: World) -> None:
    """What is older than the config's days is not read; half a line is counted."""
    world.answered(*range(3))
    world.labelled(*range(3))
    world._segment("feedback", '{"request_id": "to')
    assert world.gather().unreadable == 1
    old = world.gather(days=CONFIG.days + 1)
    assert (old.labels, old.unknown) == (0, 0)
