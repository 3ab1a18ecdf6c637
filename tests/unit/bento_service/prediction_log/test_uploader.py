"""Every line reaches the store once its segment is closed, whatever dies in between."""

import errno
import json
import logging
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bento_service import metrics
from bento_service.prediction_log import uploader
from bento_service.prediction_log.uploader import Outbox
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


def make(tmp_path: Path, store: LocalStore | None = None, seconds: float = 60) -> Outbox:
    return Outbox(
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
    """A store that is down until it is mended."""

    down = True

    def upload(self, path: Path, uri: str) -> None:
        """Copy the file, or fail."""
        if self.down:
            raise UnreachableError("S3 does not answer")
        super().upload(path, uri)


def test_an_open_segment_stays_here_and_a_closed_one_moves(tmp_path: Path) -> None:
    """Closing uploads to logs/<name>/<date>/<worker>-<seq>.jsonl and removes the local copy."""
    log = make(tmp_path)
    log.append(record(1))
    log.tend()
    assert uploaded(tmp_path) == []
    log.close()
    address = tmp_path / f"store/logs/blood_cells/2026-11-22/{log.worker}-000001.jsonl"
    assert address.is_file()
    assert not list((tmp_path / "home").rglob("*.jsonl*"))


def test_age_lines_and_midnight_close_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each segment belongs to one date and has a bounded age and length."""
    monkeypatch.setattr(uploader, "SEGMENT_LINES", 2)
    log = make(tmp_path)
    for number in range(5):
        log.append(record(number))
    log.append(record(5, NOON + timedelta(days=1)))
    log.tend()
    assert uploaded(tmp_path) == ["r0", "r1", "r2", "r3", "r4"]
    log.close()
    assert (tmp_path / f"store/logs/blood_cells/2026-11-23/{log.worker}-000004.jsonl").is_file()
    aged = make(tmp_path, seconds=0)
    aged.append(record(6))
    aged.tend()
    assert "r6" in uploaded(tmp_path)


def test_a_store_that_is_down_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that could not be uploaded is tried again later."""
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(1))
    log.tend()
    assert uploaded(tmp_path) == []
    store.down = False
    monkeypatch.setattr(log, "_retry_at", 0.0)
    log.tend()
    assert uploaded(tmp_path) == ["r1"]


def test_an_hour_without_the_store_is_two_lines_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What fails between its start and its end is counted, not told."""
    monkeypatch.setattr(uploader, "RETRY_SECONDS", 0.0)
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(1))
    for _ in range(240):
        log.tend()
    store.down = False
    log.tend()
    away, back = (r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)
    assert "is away" in away
    assert "(240 tries)" in back
    assert uploaded(tmp_path) == ["r1"]


def test_a_whole_file_moves_and_half_a_file_never_does(tmp_path: Path) -> None:
    """Also of a dead worker: what it was killed in is nothing, what it finished is uploaded."""
    dead = make(tmp_path)
    dead.put("2026-11-22/a.png", b"whole")
    dead.put("2026-11-22/a.png", b"whole")
    half = next((tmp_path / "home").rglob("a.png")).with_name("b.png.0a1b.open")
    half.write_bytes(b"ha")
    dead._lock.close()
    alive = make(tmp_path)
    alive.tend()
    sent = {path.name: path.read_bytes() for path in (tmp_path / "store").rglob("*.png*")}
    assert sent == {"a.png": b"whole"}
    assert (tmp_path / "store/logs/blood_cells/2026-11-22/a.png").is_file()
    assert [path.name for path in (tmp_path / "home").iterdir()] == [alive.worker]


def test_a_file_without_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told, and no part of it stays on the full disk."""

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    box = make(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        box.put("2026-11-22/a.png", b"whole")
    assert not list((tmp_path / "home").rglob("*.png*"))


def test_a_folder_that_went_away_costs_its_lines_alone(tmp_path: Path) -> None:
    """Somebody emptied it: the segment is lost and told, the next line begins another."""
    box = make(tmp_path, seconds=0)
    box.append(record(1))
    (segment,) = (tmp_path / "home").rglob("*.open")
    segment.unlink()
    with pytest.raises(FileNotFoundError):
        box.append(record(2))
    box.append(record(3))
    box.close()
    assert uploaded(tmp_path) == ["r3"]


def test_a_line_without_room_is_told_and_spoils_no_other(tmp_path: Path) -> None:
    """A full disk takes a part of it; that part is taken back before the next line."""
    box = make(tmp_path)
    box.append(record(1))
    (segment,) = (tmp_path / "home").rglob("*.open")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 10, hard))
    try:
        with pytest.raises(OSError, match="No space"):
            box.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    box.append(record(3))
    box.close()
    assert uploaded(tmp_path) == ["r1", "r3"]


def test_a_dead_workers_segments_are_uploaded_without_the_torn_line(tmp_path: Path) -> None:
    """The next start brings home what a killed process left, and removes its folder."""
    dead = make(tmp_path)
    dead.append(record(1))
    assert dead._segment is not None
    dead._segment.write(b'{"request_id": "torn')
    alive = make(tmp_path)
    alive.tend()
    assert uploaded(tmp_path) == []  # its lock is held: it might still be alive
    dead._lock.close()
    alive.tend()
    assert uploaded(tmp_path) == ["r1"]
    assert [path.name for path in (tmp_path / "home").iterdir()] == [alive.worker]


def test_a_long_outage_costs_the_oldest_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What waits on the disk is capped; the oldest segments go first, counted and logged."""
    monkeypatch.setattr(uploader, "RETRY_SECONDS", 0.0)
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(0))
    log.tend()
    (waiting,) = (tmp_path / "home").rglob("*.jsonl")
    monkeypatch.setattr(uploader, "MAX_WAITING_BYTES", 3 * waiting.stat().st_size)
    before = metrics.LOG_DROPPED._value.get()
    for number in range(1, 6):
        log.append(record(number))
        log.tend()
    assert metrics.LOG_DROPPED._value.get() == before + 3
    assert "oldest files" in caplog.text
    store.down = False
    log.close()
    assert uploaded(tmp_path) == ["r3", "r4", "r5"]


def test_a_file_that_another_worker_uploads_meanwhile_counts_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its listing and its size it may go; the lines of this worker are not lost by it."""
    store = FlakyStore()
    log = make(tmp_path, store, seconds=0)
    log.append(record(0))
    listed = uploader._closed

    def closed(folder: Path) -> list[Path]:
        return [*listed(folder), folder / "uploaded" / "elsewhere.jsonl"]

    monkeypatch.setattr(uploader, "RETRY_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(
            uploader,
            "_closed",
            lambda folder: closed(folder) if folder.name == "home" else listed(folder),
        )
        log.tend()
    store.down = False
    log.close()
    assert uploaded(tmp_path) == ["r0"]
