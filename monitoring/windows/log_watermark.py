"""Which records of a model's prediction log have been tested, and which run got which window.

`windows-seen/<name>.json` is changed only by compare-and-set. It is independent of the order in
which runs execute: of a segment that a tested window has read, records from the end of that window
on are still due; of any other segment, all records are.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import Field, model_validator

from pipeline.adapters.storage import Document, ObjectStore
from pipeline.records import Frozen, UtcTime

RECENT = 200
"""Windows that the watermark itself names, more than a week of hourly runs; each earlier one has a
file of its own."""


class CollectedWindow(Frozen):
    """The window of one run."""

    end: UtcTime
    """End of the run's data interval: what identifies the run."""
    window: str
    """URI of the window."""
    run_id: str
    tested: bool
    """Whether it had enough images; the records of a smaller one come again in the next."""
    of_version_0_1: bool = Field(default=False, exclude_if=lambda old: not old)
    """Whether it ended when the task ran and not with the run's data interval."""


class LogWatermark(Frozen):
    """`windows-seen/<name>.json`."""

    sequence: int = 0
    end: UtcTime | None = None
    """Latest end of a tested window; None before the first."""
    segments: dict[str, UtcTime] = Field(default_factory=dict)
    """URI of a segment to the latest end of a tested window that read it; only segments that can
    still be listed."""
    windows: tuple[CollectedWindow, ...] = ()
    """The last ones, in the order in which they were collected."""

    @model_validator(mode="before")
    @classmethod
    def _read_version_0_1(cls, data: Any) -> Any:
        """Version 0.1 named the last tested window only, and the segments that it had read."""
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
        """Where a window that ends at `until` begins: at the end of the last tested one before.

        Without one it begins at the promotion, or is empty when that came after `until`.
        """
        ends = [one.end for one in self.windows if one.tested and one.end < until]
        if self.end is not None and self.end < until:
            ends.append(self.end)
        return max(ends, default=min(promoted, until))

    def first_day(self, start: datetime, late_days: int) -> date:
        """The earliest day whose segments may still have records that are due."""
        return ((self.end or start) - timedelta(days=late_days)).date()

    def add(self, one: CollectedWindow, segments: Iterable[str], late_days: int) -> "LogWatermark":
        """The watermark after a run has got its window.

        Args:
            one: the window; only a tested one changes what is due.
            segments: URIs of the segments that were read for it.
            late_days: how long after its day a segment may arrive.
        """
        moved = {"sequence": self.sequence + 1, "windows": (*self.windows, one)}
        if not one.tested:
            return self.model_copy(update=moved)
        end = max(self.end or one.end, one.end)
        read = {uri: max(one.end, self.segments.get(uri, one.end)) for uri in segments}
        first = (end - timedelta(days=late_days)).date()
        listed = {u: t for u, t in (self.segments | read).items() if _day_of(u) >= first}
        return self.model_copy(update={**moved, "end": end, "segments": listed})


class LogWatermarks:
    """The watermark of one model name in the object store."""

    def __init__(self, objects: ObjectStore, root: str, name: str) -> None:
        self._objects = objects
        self._root = f"{root.rstrip('/')}/windows-seen/{name}"
        self._document = Document(
            objects, f"{self._root}.json", LogWatermark.model_validate_json, LogWatermark()
        )

    def read(self) -> tuple[LogWatermark, str | None]:
        """The watermark and its ETag, None when there is none yet."""
        return self._document.read()

    def collected(self, mark: LogWatermark, end: datetime, run_id: str) -> CollectedWindow | None:
        """The window of the run whose data interval ends at `end`, None before it has one.

        Version 0.1 ended a window when the task ran: its last run is found by its id.
        """
        for one in mark.windows:
            if one.end == end or (one.of_version_0_1 and one.run_id == run_id):
                return one
        found = self._objects.read_tagged(self._file(end))
        return CollectedWindow.model_validate_json(found[0]) if found else None

    def move(self, mark: LogWatermark, etag: str | None) -> None:
        """Write the watermark; windows beyond the last `RECENT` get their own files before.

        Raises:
            ConflictError: when another run moved it since it was read.
        """
        for one in mark.windows[:-RECENT]:
            self._objects.write(self._file(one.end), one.model_dump_json(indent=2).encode())
        kept = mark.model_copy(update={"windows": mark.windows[-RECENT:]})
        self._document.replace(kept, etag)

    def _file(self, end: datetime) -> str:
        return f"{self._root}/{end:%Y%m%dT%H%M%S.%f}Z.json"


def _day_of(segment: str) -> date:
    """The day in a segment's URI, `.../<date>/<worker>-<seq>.jsonl`."""
    return date.fromisoformat(segment.split("/")[-2])
