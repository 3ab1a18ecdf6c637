"""From the service's log segments in S3 to a dated window of predictions.

A run's window ends where its data interval ends, in UTC, and begins where the last tested window
before that ended. It is noted under that end: a run that is cleared, today or next week, gets the
same window again, and no other run's window changes. A window too small to be tested takes nothing:
its records come again with the next one.

Each record enters at most one tested window, in whatever order runs execute and segments arrive,
and exactly one if its segment arrives within `late_days` of the last tested window. A run that
executes for the first time after later ones gets what these left.
"""

import logging
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from monitoring.config import MonitoringConfig
from monitoring.windows.log_watermark import CollectedWindow, LogWatermark, LogWatermarks
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import Artifact, WindowManifest
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.records import Frozen, UtcTime
from pipeline.run import RunContext

PREDICTIONS = "predictions.jsonl"
_CLOCK_SKEW = timedelta(minutes=5)
"""By which the clocks of two machines may differ."""
_LOG = logging.getLogger(__name__)


class Period(Frozen):
    """What a window asks of the log."""

    start: UtcTime
    end: UtcTime
    first_day: date
    """Of the segments that are read."""
    taken: dict[str, UtcTime] | None = None
    """Segment to the time from which its records are due; of other segments all are. None: exactly
    the records of [start, end) are."""

    def wants(self, segment: str, time: datetime) -> bool:
        """Whether a record of a segment belongs to this period."""
        begin = self.start if self.taken is None else self.taken.get(segment)
        return time < self.end and (begin is None or begin <= time)


def collect(
    name: str,
    since: datetime | None,
    until: datetime,
    config: MonitoringConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[WindowManifest]:
    """Publish the promoted model's predictions before `until` as a window.

    Args:
        name: the model name whose log is read.
        since: exactly [since, until), whatever was tested before, and noted nowhere; none continues
            where the last tested window before `until` ended.
        until: end of the run's data interval; nothing later is read.
        config: how late a segment may arrive, and how many images can be tested.
        store: where logs, pointer and windows are.
        run: who asks.

    Raises:
        ArtifactError: when no model of that name is promoted.
        InvalidInputError: when `since` is not before `until`, or `until` is in the future.
        ConflictError: when another run took a window meanwhile.
    """
    _require_past(until, run.created_at)
    marks, late_days = LogWatermarks(store.objects, store.root, name), config.collect.late_days
    mark, etag = marks.read()
    if since is None and (known := marks.collected(mark, until, run.run_id)):
        return store.open(known.window, WindowManifest)
    pointer = Registry(store.objects, store.root, name).read()
    if pointer is None:
        raise ArtifactError("no model is promoted", expected="a promoted model", received=name)
    period = (
        _continued(mark, until, pointer.time, late_days)
        if since is None
        else _named(since, until, late_days)
    )
    _LOG.info("collecting %s from %s to %s", name, period.start, period.end)
    segments = _segments(store, name, period)
    records, counts = _read(store.objects, segments, period, pointer.tag)
    window = _publish(name, records, counts, period, pointer, store=store, run=run)
    if since is None:
        one = CollectedWindow(
            end=until,
            window=window.uri,
            run_id=run.run_id,
            tested=counts["distinct"] >= config.test.min_sample,
        )
        marks.move(mark.add(one, segments, late_days), etag)
    _LOG.info("collected %s %s", window.uri, window.manifest.counts)
    return window


def parse_segment(data: bytes, uri: str) -> tuple[list[PredictionRecord], int]:
    """Records of a segment, and how many lines could not be read.

    The last line may be torn by a crash; any other unreadable line is worth a warning.
    """
    records, unreadable = [], 0
    lines = data.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(PredictionRecord.model_validate_json(line))
        except ValidationError:
            unreadable += 1
            if number < len(lines):
                _LOG.warning("%s line %d is no prediction record", uri, number)
    return records, unreadable


def _require_past(until: datetime, now: datetime) -> None:
    """A window of the future would mark as read what is still to come."""
    if until > now + _CLOCK_SKEW:
        raise InvalidInputError(
            "a window ends in the future",
            expected=f"until at most {now.isoformat(timespec='seconds')}",
            received=until.isoformat(),
        )


def _continued(mark: LogWatermark, until: datetime, promoted: datetime, late_days: int) -> Period:
    start = mark.start(until, promoted)
    first_day = mark.first_day(start, late_days)
    return Period(start=start, end=until, first_day=first_day, taken=mark.segments)


def _named(since: datetime, until: datetime, late_days: int) -> Period:
    if since >= until:
        raise InvalidInputError(
            "a window ends before it begins",
            expected=f"since before {until.isoformat()}",
            received=since.isoformat(),
        )
    return Period(start=since, end=until, first_day=(since - timedelta(days=late_days)).date())


def _segments(store: ArtifactStore, name: str, period: Period) -> list[str]:
    day = period.first_day
    segments: list[str] = []
    while day <= period.end.date():
        prefix = f"{store.root}/logs/{name}/{day.isoformat()}/"
        segments += [o.uri for o in store.objects.list(prefix) if o.uri.endswith(".jsonl")]
        day += timedelta(days=1)
    return segments


def _read(
    objects: ObjectStore, segments: list[str], period: Period, tag: str
) -> tuple[list[PredictionRecord], Counter[str]]:
    """The period's records of one model in order of time; the same line counts once.

    Callers choose request ids: two predictions under one id are two.
    """
    counts = Counter(segments=len(segments), unreadable=0, repeated=0, other_model=0)
    found: dict[str, PredictionRecord] = {}
    for uri in segments:
        records, unreadable = parse_segment(objects.read(uri), uri)
        counts["unreadable"] += unreadable
        for record in records:
            if not period.wants(uri, record.time):
                continue
            line = record.model_dump_json()
            if record.tag != tag:
                counts["other_model"] += 1
            elif line in found:
                counts["repeated"] += 1
            else:
                found[line] = record
    counts["records"] = len(found)
    counts["distinct"] = len({(r.stats, r.embedding) for r in found.values()})
    ordered = sorted(found.items(), key=lambda item: (item[1].time, item[1].request_id, item[0]))
    return [record for _, record in ordered], counts


def _publish(
    name: str,
    records: list[PredictionRecord],
    counts: Counter[str],
    period: Period,
    pointer: Pointer,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[WindowManifest]:
    with TemporaryDirectory() as folder:
        body = "".join(record.model_dump_json() + "\n" for record in records)
        (Path(folder) / PREDICTIONS).write_text(body)
        manifest = WindowManifest(
            name=name,
            run_id=run.run_id,
            code_version=run.code_version,
            created_at=run.created_at,
            inputs={"model": pointer.tag, "evaluation": pointer.evaluation},
            counts=dict(counts),
            start=period.start,
            end=period.end,
        )
        return store.publish(Path(folder), manifest)
