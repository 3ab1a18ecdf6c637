"""Log uploader: no line is lost by crashes, full disks or an unreachable store."""

import errno
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bento_service import metrics
from bento_service.prediction_log import uploader
from bento_service.prediction_log.segments import closed_files
from bento_service.prediction_log.uploader import LogUploader
from pipeline.adapters.storage import LocalStore
from pipeline.contract.image_stats import ImageStats
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.errors import UnreachableError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def record(number: int, when: datetime = NOON) -> PredictionRecord:
    numbers = dict.fromkeys(ImageStats.model_fields, 0)
    return PredictionRecord(
        request_id=f"r{number}", time=when, tag="blood_cells:0", route="/classify", label="A",
        decision="accept", probabilities={"A": 1.0}, cell_found=True,
        stats=ImageStats.model_validate(numbers), embedding=(0.0,),
    )  # fmt: skip


def make(tmp_path: Path, store: LocalStore | None = None, seconds: float = 60) -> LogUploader:
    return LogUploader(
        tmp_path / "home", store or LocalStore(), str(tmp_path / "store/logs"), "blood_cells",
        segment_seconds=seconds,
    )  # fmt: skip


def uploaded(tmp_path: Path) -> list[str]:
    """Request ids in the store, in order of their segments."""
    return [
        json.loads(line)["request_id"]
        for path in sorted((tmp_path / "store").rglob("*.jsonl"))
        for line in path.read_text().splitlines()
    ]


class FlakyStore(LocalStore):
    """A store that is unreachable until `down` is cleared."""

    down = True

    def upload(self, path: Path, uri: str) -> None:
        """Copy the file, or fail."""
        if self.down:
            raise UnreachableError("S3 does not answer")
        super().upload(path, uri)


def test_only_closed_segments_are_uploaded(tmp_path: Path) -> None:
    """Closing uploads to logs/<name>/<date>/<worker>-<seq>.jsonl and removes the local copy."""
    log = make(tmp_path)
    log.append(record(1))
    log.upload_due()
    assert uploaded(tmp_path) == []
    log.close()
    address = tmp_path / f"store/logs/blood_cells/2026-11-22/{log.worker}-000001.jsonl"
    assert address.is_file()
    assert not list((tmp_path / "home").rglob("*.jsonl*"))


def test_a_store_that_is_down_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed upload is retried later."""
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(1))
    log.upload_due()
    assert uploaded(tmp_path) == []
    store.down = False
    monkeypatch.setattr(log, "_retry_at", 0.0)
    log.upload_due()
    assert uploaded(tmp_path) == ["r1"]


def test_an_hour_without_the_store_is_two_lines_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line when it becomes unreachable, one when it recovers; attempts are counted."""
    monkeypatch.setattr(uploader, "RETRY_S", 0.0)
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(1))
    for _ in range(240):
        log.upload_due()
    store.down = False
    log.upload_due()
    unreachable, recovered = (
        r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING
    )
    assert "is unreachable" in unreachable
    assert "(240 failed attempts)" in recovered
    assert uploaded(tmp_path) == ["r1"]


def test_only_complete_files_are_uploaded(tmp_path: Path) -> None:
    """Also those of a dead worker; its incomplete files are deleted."""
    dead = make(tmp_path)
    dead.put("2026-11-22/a.png", b"whole")
    dead.put("2026-11-22/a.png", b"whole")
    half = next((tmp_path / "home").rglob("a.png")).with_name("b.png.0a1b.open")
    half.write_bytes(b"ha")
    dead._lock.close()
    alive = make(tmp_path)
    alive.upload_due()
    sent = {path.name: path.read_bytes() for path in (tmp_path / "store").rglob("*.png*")}
    assert sent == {"a.png": b"whole"}
    assert (tmp_path / "store/logs/blood_cells/2026-11-22/a.png").is_file()
    assert [path.name for path in (tmp_path / "home").iterdir()] == [alive.worker]


def test_a_full_disk_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is raised, and no part of the file stays on the disk."""

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    log = make(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        log.put("2026-11-22/a.png", b"whole")
    assert not list((tmp_path / "home").rglob("*.png*"))


def test_a_dead_workers_segments_are_uploaded_without_the_torn_line(tmp_path: Path) -> None:
    """The next worker uploads the files of a killed one and removes its folder."""
    dead = make(tmp_path)
    dead.append(record(1))
    assert dead._segments._segment is not None
    dead._segments._segment.write(b'{"request_id": "torn')
    alive = make(tmp_path)
    alive.upload_due()
    assert uploaded(tmp_path) == []  # it still holds its lock
    dead._lock.close()
    alive.upload_due()
    assert uploaded(tmp_path) == ["r1"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == [alive.worker]


def test_a_long_outage_deletes_the_oldest_segments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pending files are capped; the oldest are deleted first, counted and logged."""
    monkeypatch.setattr(uploader, "RETRY_S", 0.0)
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(0))
    log.upload_due()
    (waiting,) = (tmp_path / "home").rglob("*.jsonl")
    monkeypatch.setattr(uploader, "MAX_PENDING_BYTES", 3 * waiting.stat().st_size)
    before = metrics.LOG_DROPPED._value.get()
    for number in range(1, 6):
        log.append(record(number))
        log.upload_due()
    assert metrics.LOG_DROPPED._value.get() == before + 3
    assert "oldest files" in caplog.text
    store.down = False
    log.close()
    assert uploaded(tmp_path) == ["r3", "r4", "r5"]


def test_a_file_that_another_worker_uploads_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may disappear between listing and stat; no line of this worker is lost."""
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(0))
    listed = closed_files

    def closed(folder: Path) -> list[Path]:
        return [*listed(folder), folder / "uploaded" / "elsewhere.jsonl"]

    monkeypatch.setattr(uploader, "RETRY_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(
            uploader,
            "closed_files",
            lambda folder: closed(folder) if folder.name == "home" else listed(folder),
        )
        log.upload_due()
    store.down = False
    log.close()
    assert uploaded(tmp_path) == ["r0"]


def test_a_segment_that_cannot_be_sealed_does_not_stop_the_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`close` logs the error and uploads the other files; the next start uploads the segment."""
    log = make(tmp_path)
    log.put("image.png", b"image")
    log.append(record(1))

    def fail_to_sync(_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("bento_service.prediction_log.segments._Segment.seal", fail_to_sync)
        log.close()
    assert "could not be sealed" in caplog.text
    assert (tmp_path / "store/logs/blood_cells/image.png").read_bytes() == b"image"
    assert uploaded(tmp_path) == []
    make(tmp_path).upload_due()
    assert uploaded(tmp_path) == ["r1"]
