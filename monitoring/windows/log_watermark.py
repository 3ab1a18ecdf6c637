"""Log watermark: up to which time each log segment was tested, and the window of each run.

`windows-seen/<name>.json` changes only by compare-and-set and does not depend on the order in which
runs execute. Of a segment that a tested window has read, records from the end of that window on are
still due; of any other segment, all records are due.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import Field, model_validator

from pipeline.adapters.storage import Document, ObjectStore
from pipeline.records import Frozen, UtcTime

RECENT = 200
"""Windows in the watermark itself, more than a week of hourly runs; each earlier window has its own
file."""


class CollectedWindow(Frozen):
    """The window that one run collected, and whether it was tested."""

    end: UtcTime
    """End of the run's data interval, which identifies the run."""
    window: str
    """URI of the window."""
    run_id: str
    tested: bool
    """Whether it had enough images; the next window includes the records of a smaller one again."""
    of_version_0_1: bool = Field(default=False, exclude_if=lambda old: not old)
    """Whether it ended when the task ran, not at the end of the data interval."""


class LogWatermark(Frozen):
    """What was tested of a model's prediction log: `windows-seen/<name>.json`."""

    sequence: int = 0
    end: UtcTime | None = None
    """Latest end of a tested window; None before the first."""
    segments: dict[str, UtcTime] = Field(default_factory=dict)
    """URI of a segment to the latest end of a tested window that read it; only segments that later
    windows may still read."""
    windows: tuple[CollectedWindow, ...] = ()
    """The last `RECENT` windows, in the order of collection."""

    @model_validator(mode="before")
    @classmethod
    def _read_version_0_1(cls, data: Any) -> Any:
        """Convert the fields of version 0.1, which stored the last tested window only."""
        if not isinstance(data, dict) or "run_id" not in data:
            return data
        end = data["end"]
        last = {
            **{name: data[name] for name in ("end", "window", "run_id")},
            "tested": True,
            "of_version_0_1": True,
        }
        return {
            "sequence": data["sequence"],
            "end": end,
            "segments": dict.fromkeys(data["segments"], end),
            "windows": (last,) if end else (),
        }

    def start(self, until: datetime, promoted: datetime) -> datetime:
        """Start of the window that ends at `until`: the end of the tested window before.

        Before the first tested window it is the promotion, or `until` if that is earlier.
        """
        ends = [entry.end for entry in self.windows if entry.tested and entry.end < until]
        if self.end is not None and self.end < until:
            ends.append(self.end)
        return max(ends, default=min(promoted, until))

    def first_day(self, start: datetime, late_days: int) -> date:
        """Date of the earliest log segment that may still have records to test."""
        return ((self.end or start) - timedelta(days=late_days)).date()

    def add(
        self, entry: CollectedWindow, segments: Iterable[str], late_days: int
    ) -> "LogWatermark":
        """Copy of the watermark with one more window.

        Args:
            entry: the window; only a tested window changes which records are due.
            segments: URIs of the segments read for it.
            late_days: days after its date on which a segment may arrive.
        """
        update = {"sequence": self.sequence + 1, "windows": (*self.windows, entry)}
        if not entry.tested:
            return self.model_copy(update=update)
        end = max(self.end or entry.end, entry.end)
        read = {uri: max(entry.end, self.segments.get(uri, entry.end)) for uri in segments}
        first = (end - timedelta(days=late_days)).date()
        listed = {u: t for u, t in (self.segments | read).items() if _day_of(u) >= first}
        return self.model_copy(update={**update, "end": end, "segments": listed})


class LogWatermarkStore:
    """Reads and writes the log watermark of one model name."""

    def __init__(self, objects: ObjectStore, root: str, name: str) -> None:
        self._objects = objects
        self._root = f"{root.rstrip('/')}/windows-seen/{name}"
        self._document = Document(
            objects, f"{self._root}.json", LogWatermark.model_validate_json, LogWatermark()
        )

    def read(self) -> tuple[LogWatermark, str | None]:
        """The watermark and its ETag; an empty watermark and None before the first window."""
        return self._document.read()

    def find_window(
        self, watermark: LogWatermark, end: datetime, run_id: str
    ) -> CollectedWindow | None:
        """The window of the run whose data interval ends at `end`; None if not collected yet.

        The last run of version 0.1 is found by its id: its window ended when the task ran.
        """
        for entry in watermark.windows:
            if entry.end == end or (entry.of_version_0_1 and entry.run_id == run_id):
                return entry
        stored = self._objects.read_tagged(self._file(end))
        return CollectedWindow.model_validate_json(stored[0]) if stored else None

    def replace(self, watermark: LogWatermark, etag: str | None) -> None:
        """Write the watermark; ConflictError if another run changed it since `etag` was read.

        Windows before the last `RECENT` go to their own files first.
        """
        for entry in watermark.windows[:-RECENT]:
            self._objects.write(self._file(entry.end), entry.model_dump_json(indent=2).encode())
        recent = watermark.model_copy(update={"windows": watermark.windows[-RECENT:]})
        self._document.replace(recent, etag)

    def _file(self, end: datetime) -> str:
        """URI of the file for a window older than the last `RECENT`."""
        return f"{self._root}/{end:%Y%m%dT%H%M%S.%f}Z.json"


def _day_of(segment: str) -> date:
    """Date in the URI of a segment, `.../<date>/<worker>-<seq>.jsonl`."""
    return date.fromisoformat(segment.split("/")[-2])
