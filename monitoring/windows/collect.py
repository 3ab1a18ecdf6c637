"""Collect a window: read the service's prediction log in S3, publish the predictions of a period.

A run's window ends at the end of its data interval, in UTC, and starts at the end of the last
tested window before that. The log watermark stores each window under its end: a run that is cleared
gets the same window again, and no other run's window changes. A window too small to be tested
consumes nothing: the next window includes its records again.

Each record is in at most one tested window, for any order of runs and segments, and in exactly one
if its segment arrives within `late_days` of the last tested window. A run that first executes after
later runs gets the records that those did not read.

A window has the predictions of one model: the one that made most of them. That need not be the one
that the pointer names: a container with a baked-in model follows no pointer.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from pydantic import ValidationError

from monitoring.config import MonitoringConfig
from monitoring.windows.log_watermark import CollectedWindow, LogWatermark, LogWatermarkStore
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.pointer_store import Pointer, PointerStore
from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import Artifact, WindowManifest
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.records import Frozen, UtcTime
from pipeline.run_context import RunContext

PREDICTIONS = "predictions.jsonl"
_CLOCK_SKEW = timedelta(minutes=5)
"""Maximum difference between the clocks of two machines."""
_LOG = logging.getLogger(__name__)


class WindowRequest(Frozen):
    """Model and time range of the window to collect."""

    name: str
    """Model name."""
    until: UtcTime
    """Exclusive end: the end of the run's data interval."""
    since: UtcTime | None = None
    """Inclusive start. The window is exactly [since, until) and leaves the watermark unchanged;
    None: the end of the last tested window before `until`."""


class Period(Frozen):
    """Which log records belong to a window, by time and by log segment."""

    start: UtcTime
    end: UtcTime
    first_day: date
    """Date of the first segment that is read."""
    due_from: dict[str, UtcTime] | None = None
    """Segment to the time from which its records are due; all records of other segments are due.
    None: exactly the records of [start, end) are due."""

    def is_due(self, segment: str, time: datetime) -> bool:
        """Whether a record of a segment belongs to this period."""
        begin = self.start if self.due_from is None else self.due_from.get(segment)
        return time < self.end and (begin is None or begin <= time)


def collect(
    request: WindowRequest, config: MonitoringConfig, *, store: ArtifactStore, run: RunContext
) -> Artifact[WindowManifest]:
    """Publish the logged predictions of the model that made most; a repeated run changes nothing.

    It moves the log watermark, unless the request has `since`.

    Raises:
        ArtifactError: if no model of that name is promoted.
        InvalidInputError: if `since` is not before `until`, or `until` is in the future.
        ConflictError: if another run moved the watermark since it was read.
    """
    _require_past(request.until, run.created_at)
    name, late_days = request.name, config.collect.late_days
    watermarks = LogWatermarkStore(store.objects, store.root, name)
    watermark, etag = watermarks.read()
    if request.since is None and (
        known := watermarks.find_window(watermark, request.until, run.run_id)
    ):
        return store.open(known.window, WindowManifest)
    pointers = PointerStore(store.objects, store.root, name)
    pointer = pointers.read()
    if pointer is None:
        raise ArtifactError("no model is promoted", expected="a promoted model", received=name)
    period = _period(request, watermark, pointer.time, late_days)
    _LOG.info("collecting %s from %s to %s", name, period.start, period.end)
    segments = _segments(store, name, period)
    predictions, counts = _read(store.objects, segments, period)
    answered = {tag: len(lines) for tag, lines in sorted(predictions.items())}
    model = _most_answers(answered, pointer, pointers.history())
    records = _in_order(predictions.get(model.tag, {}))
    counts["other_model"] = sum(answered.values()) - len(records)
    counts["records"] = len(records)
    counts["distinct"] = len({(record.stats, record.embedding) for record in records})
    manifest = WindowManifest(
        name=name,
        inputs={"model": model.tag, "evaluation": model.evaluation},
        counts=dict(counts),
        promoted=pointer.tag,
        answered=answered,
        start=period.start,
        end=period.end,
        **run.model_dump(),
    )
    lines = "".join(f"{record.model_dump_json()}\n" for record in records)
    window = store.publish_texts({PREDICTIONS: lines}, manifest)
    if request.since is None:
        entry = CollectedWindow(
            end=request.until,
            window=window.uri,
            run_id=run.run_id,
            tested=counts["distinct"] >= config.test.min_sample,
        )
        watermarks.replace(watermark.add(entry, segments, late_days), etag)
    _LOG.info("collected %s %s", window.uri, window.manifest.counts)
    return window


def parse_segment(data: bytes, uri: str) -> tuple[list[PredictionRecord], int]:
    """Records of a segment, and the number of unreadable lines, which are skipped.

    A crash can truncate the last line; any other unreadable line logs a warning.
    """
    records, unreadable = [], 0
    lines = data.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            records.append(PredictionRecord.model_validate_json(line))
        except ValidationError:
            unreadable += 1
            if number < len(lines):
                _LOG.warning("%s line %d: skipped, not a prediction record", uri, number)
    return records, unreadable


def _require_past(until: datetime, now: datetime) -> None:
    """Raise InvalidInputError for a window in the future: its records do not exist yet."""
    if until > now + _CLOCK_SKEW:
        raise InvalidInputError(
            "the window ends in the future",
            expected=f"until at most {now.isoformat(timespec='seconds')}",
            received=until.isoformat(),
        )


def _period(
    request: WindowRequest, watermark: LogWatermark, promoted: datetime, late_days: int
) -> Period:
    """The requested time range, else from the last tested window to `until`."""
    since, until = request.since, request.until
    if since is None:
        start = watermark.start(until, promoted)
        first_day = watermark.first_day(start, late_days)
        return Period(start=start, end=until, first_day=first_day, due_from=watermark.segments)
    if since >= until:
        raise InvalidInputError(
            "the window ends before it starts",
            expected=f"since before {until.isoformat()}",
            received=since.isoformat(),
        )
    return Period(start=since, end=until, first_day=(since - timedelta(days=late_days)).date())


def _segments(store: ArtifactStore, name: str, period: Period) -> list[str]:
    """URIs of the stored log segments from the first day to the end of the period."""
    n_days = (period.end.date() - period.first_day).days + 1
    days = (period.first_day + timedelta(days=n) for n in range(n_days))
    listed = (store.objects.list(f"{store.root}/logs/{name}/{day.isoformat()}/") for day in days)
    return [item.uri for items in listed for item in items if item.uri.endswith(".jsonl")]


def _read(
    objects: ObjectStore, segments: list[str], period: Period
) -> tuple[dict[str, dict[str, PredictionRecord]], Counter[str]]:
    """Tag of a model to its records in the period, by their text, and counts.

    Equal lines count once. Clients choose request ids: two predictions with one id are two records.
    """
    counts = Counter(segments=len(segments), unreadable=0, repeated=0)
    unique: defaultdict[str, dict[str, PredictionRecord]] = defaultdict(dict)
    for uri in segments:
        records, unreadable = parse_segment(objects.read(uri), uri)
        counts["unreadable"] += unreadable
        for record in records:
            if not period.is_due(uri, record.time):
                continue
            line = record.model_dump_json()
            counts["repeated"] += line in unique[record.tag]
            unique[record.tag][line] = record
    return unique, counts


def _most_answers(
    answered: Mapping[str, int], pointer: Pointer, history: Sequence[Pointer]
) -> Pointer:
    """Pointer to the model with most predictions; a tie goes to `pointer`, the current one.

    Only a model that was promoted under this name has a reference to test against.
    """
    promotions = {entry.tag: entry for entry in (*history, pointer)}
    return max(
        promotions.values(),
        key=lambda entry: (answered.get(entry.tag, 0), entry.tag == pointer.tag, entry.sequence),
    )


def _in_order(records: Mapping[str, PredictionRecord]) -> list[PredictionRecord]:
    """Records in order of time; the same order in every run."""
    ordered = sorted(records.items(), key=lambda item: (item[1].time, item[1].request_id, item[0]))
    return [record for _, record in ordered]
