"""Segments: whole lines only, and a bounded age, length and date."""

import json
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from bento_service.prediction_log import segments
from bento_service.prediction_log.segments import SegmentWriter, closed_files, salvage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Line(BaseModel):
    """A record with only a number and a time."""

    number: int
    time: datetime


def record(number: int, when: datetime = NOON) -> Line:
    return Line(number=number, time=when)


def sealed(folder: Path) -> dict[str, list[int]]:
    """Numbers of the records in each sealed segment, by its path."""
    return {
        str(path.relative_to(folder)): [
            json.loads(line)["number"] for line in path.read_text().splitlines()
        ]
        for path in sorted(folder.rglob("*.jsonl"))
    }


def test_age_lines_and_midnight_close_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each segment belongs to one date and has a bounded age and length."""
    monkeypatch.setattr(segments, "MAX_LINES", 2)
    writer = SegmentWriter(tmp_path, "w", 60)
    for number in range(5):
        writer.append(record(number))
    writer.append(record(5, NOON + timedelta(days=1)))
    writer.seal_due()
    assert sealed(tmp_path) == {
        "2026-11-22/w-000001.jsonl": [0, 1],
        "2026-11-22/w-000002.jsonl": [2, 3],
        "2026-11-22/w-000003.jsonl": [4],
    }
    writer.seal()
    assert sealed(tmp_path)["2026-11-23/w-000004.jsonl"] == [5]
    aged = SegmentWriter(tmp_path, "aged", 0)
    aged.append(record(6))
    aged.seal_due()
    assert sealed(tmp_path)["2026-11-22/aged-000001.jsonl"] == [6]


def test_a_deleted_segment_loses_only_its_own_lines(tmp_path: Path) -> None:
    """The error is raised once, and the next line starts another segment."""
    writer = SegmentWriter(tmp_path, "w", 0)
    writer.append(record(1))
    (segment,) = tmp_path.rglob("*.open")
    segment.unlink()
    with pytest.raises(FileNotFoundError):
        writer.append(record(2))
    writer.append(record(3))
    writer.seal()
    assert sealed(tmp_path) == {"2026-11-22/w-000002.jsonl": [3]}


def test_a_partial_line_is_removed_from_a_full_disk(tmp_path: Path) -> None:
    """The error is raised, and the partial line is truncated before the next one."""
    writer = SegmentWriter(tmp_path, "w", 60)
    writer.append(record(1))
    (segment,) = tmp_path.rglob("*.open")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 10, hard))
    try:
        with pytest.raises(OSError, match="No space"):
            writer.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    writer.append(record(3))
    writer.seal()
    assert sealed(tmp_path) == {"2026-11-22/w-000001.jsonl": [1, 3]}


def test_salvage_keeps_whole_lines_only(tmp_path: Path) -> None:
    """A segment without a whole line, and an incomplete image, are deleted."""
    for name, data in (("a.jsonl", b"1\n2"), ("b.jsonl", b"1"), ("c.png.0a", b"1\n")):
        path = tmp_path / f"{name}.open"
        path.write_bytes(data)
        salvage(path)
    assert [path.name for path in closed_files(tmp_path)] == ["a.jsonl"]
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n"
    assert len(list(tmp_path.iterdir())) == 1
