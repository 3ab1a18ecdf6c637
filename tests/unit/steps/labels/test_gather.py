"""Gather writes each returned label into one archive, also after a crash at any point."""

import hashlib
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.config.archive_limits import IngestConfig
from pipeline.config.returned_label_limits import GatherConfig
from pipeline.config.run_config import RunConfig
from pipeline.contract.prediction_log import kept_image_path
from pipeline.errors import ConflictError, UnreachableError
from pipeline.run_context import RunContext
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.watch import claim_archives
from pipeline.steps.labels.gather import ReturnedLabels, gather, report_uri
from tests.unit.steps.labels.test_returned_labels import NOON, feedback, prediction

CONFIG = GatherConfig(min_labels=3)
LABELS = ("ROUND", "LOBED")


class Service:
    """A store with predictions, kept images and returned labels of the model `cells`."""

    def __init__(self, store: ArtifactStore, draw: Callable[..., bytes]) -> None:
        self.store = store
        self._draw = draw
        self._segments = 0

    def predict(self, *numbers: int) -> None:
        """Log a prediction and keep an image for each number; the number is the request id."""
        lines = []
        for number in numbers:
            image = self._draw(number)
            sha256 = hashlib.sha256(image).hexdigest()
            lines.append(prediction(str(number), sha256))
            self._write(f"kept/cells/{kept_image_path(NOON, sha256)}", image)
        self._segment("logs", "".join(line.model_dump_json() + "\n" for line in lines))

    def label(self, *numbers: int, label: str = "", minutes: int = 0) -> None:
        """Return labels; by default even numbers are round and odd ones lobed."""
        lines = [feedback(str(n), label or LABELS[n % 2], minutes) for n in numbers]
        self._segment("feedback", "".join(line.model_dump_json() + "\n" for line in lines))

    def gather(self, days: int = 0) -> ReturnedLabels:
        """Run gather some days after noon."""
        now = NOON + timedelta(days=days, hours=1)
        run = RunContext(run_id="test", code_version="test", created_at=now)
        return gather("cells", CONFIG, store=self.store, run=run)

    def archives(self) -> list[str]:
        """URIs of all archives."""
        return [item.uri for item in self.store.objects.list(f"{self.store.root}/archives/")]

    def kept_file(self, number: int) -> Path:
        """Path of a kept image."""
        sha256 = hashlib.sha256(self._draw(number)).hexdigest()
        return Path(self.store.root) / "kept/cells" / kept_image_path(NOON, sha256)

    def _segment(self, kind: str, body: str) -> None:
        self._segments += 1
        self._write(f"{kind}/cells/{NOON.date()}/w-{self._segments:06d}.jsonl", body.encode())

    def _write(self, path: str, data: bytes) -> None:
        self.store.objects.write(f"{self.store.root}/{path}", data)


@pytest.fixture
def service(store: ArtifactStore, draw: Callable[..., bytes]) -> Service:
    """An empty store."""
    return Service(store, draw)


def test_enough_labels_become_an_archive_that_ingest_accepts(
    service: Service, config: RunConfig, run: RunContext
) -> None:
    """Its images have the returned labels, and the watcher claims one new archive."""
    service.predict(*range(4))
    service.label(*range(4))
    returned = service.gather()
    assert (returned.labels, returned.agreeing, returned.disagreeing) == (4, 2, 2)
    assert (returned.usable, returned.gathered, returned.waiting) == (4, 4, 0)
    assert service.archives() == [returned.archive]
    snapshot = ingest([], config, store=service.store, run=run)
    records = service.store.records(snapshot)
    assert {(r.sha256, r.label) for r in records} == {
        (service.kept_file(n).stem, LABELS[n % 2]) for n in range(4)
    }
    assert len(claim_archives("cells", store=service.store)) == 1


def test_too_few_labels_wait(service: Service) -> None:
    """They are counted, also in the published report, and are used with later labels."""
    service.predict(*range(4))
    service.label(0, 1)
    assert (service.gather().archive, service.gather().waiting) == ("", 2)
    shown = service.store.objects.read(report_uri("cells", service.store))
    assert ReturnedLabels.model_validate_json(shown).waiting == 2
    service.label(2)
    assert service.gather().gathered == 3


def test_no_label_is_used_twice(service: Service) -> None:
    """A second run finds no new label; a third uses only later labels."""
    service.predict(*range(7))
    service.label(*range(3))
    first = service.gather()
    again = service.gather()
    assert (again.archive, again.gathered, again.waiting, again.usable) == ("", 0, 0, 3)
    service.label(*range(3, 7))
    second = service.gather()
    assert second.gathered == 4
    assert sorted(service.archives()) == sorted([first.archive, second.archive])


def test_a_deleted_archive_is_not_written_again(service: Service) -> None:
    """Its labels stay used."""
    service.predict(*range(3))
    service.label(*range(3))
    Path(service.gather().archive).unlink()
    assert service.gather().archive == ""
    assert service.archives() == []


def test_a_killed_gather_continues_with_the_same_bytes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before or after the upload, also with new labels in the meantime: one archive."""
    service.predict(*range(8))
    service.label(*range(3))

    def lost(*_: object, **__: object) -> None:
        raise UnreachableError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "upload", lost)
        with pytest.raises(UnreachableError):
            service.gather()
    service.label(*range(3, 7))
    state = Path(service.store.root) / "returned/cells.json"
    pending = state.read_bytes()
    first = service.gather()
    assert first.gathered == 3
    body = Path(first.archive).read_bytes()
    state.write_bytes(pending)  # as if it was killed after the upload
    assert service.gather().archive == first.archive
    assert Path(first.archive).read_bytes() == body
    assert service.gather().gathered == 4
    assert len(service.archives()) == 2


def test_concurrent_gathers_write_one_archive(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second writer gets ConflictError and may run again."""
    service.predict(*range(3))
    service.label(*range(3))
    listed = LocalStore.stat

    def other_first(self: LocalStore, uri: str) -> object:
        if uri.endswith(".png"):  # the state was read before
            monkeypatch.setattr(LocalStore, "stat", listed)
            service.gather()
        return listed(self, uri)

    monkeypatch.setattr(LocalStore, "stat", other_first)
    with pytest.raises(ConflictError):
        service.gather()
    assert len(service.archives()) == 1
    assert service.gather().archive == ""


def test_a_missing_or_damaged_image_is_not_used(service: Service) -> None:
    """A missing image is counted, a damaged one is skipped, and the others are archived."""
    service.predict(*range(6))
    service.label(*range(5))
    service.kept_file(0).unlink()
    service.kept_file(1).write_bytes(service.kept_file(1).read_bytes()[:100])
    returned = service.gather()
    assert (returned.not_kept, returned.usable, returned.gathered) == (1, 4, 3)
    with zipfile.ZipFile(returned.archive) as archive:
        names = set(archive.namelist())
    assert names == {"manifest.csv", *(f"returned/{service.kept_file(n).name}" for n in (2, 3, 4))}


def test_an_image_too_large_for_ingest_is_skipped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ingest would reject the whole archive for it."""
    service.predict(*range(4))
    service.label(*range(4))
    limit = IngestConfig().max_member_bytes
    with service.kept_file(0).open("ab") as stream:
        stream.truncate(limit + 1)
    returned = service.gather()
    assert (returned.not_kept, returned.gathered) == (1, 3)


def test_a_corrected_label_counts_as_new(service: Service) -> None:
    """Validation then quarantines the image, since it has two labels."""
    service.predict(*range(3))
    service.label(*range(3))
    service.gather()
    service.label(*range(3), label="LOBED", minutes=5)
    assert service.gather().waiting == 2  # number 1 was lobed already


def test_old_labels_and_truncated_lines_are_skipped(service: Service) -> None:
    """Labels older than the config's days are not read; a truncated line is counted."""
    service.predict(*range(3))
    service.label(*range(3))
    service._segment("feedback", '{"request_id": "to')
    assert service.gather().unreadable == 1
    old = service.gather(days=CONFIG.days + 1)
    assert (old.labels, old.unknown) == (0, 0)
