"""From the service's log segments in S3 to a dated window of predictions.

Without `since`, a watermark makes every record enter exactly one window: it names the end of the
last window and the segments it read. Of a segment it has read, records from that end on are still
due; of one that arrived late, all are. A window too small to be tested does not move it: its
records come again with the next.
"""

import logging
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field, ValidationError

from monitoring.config import MonitoringConfig
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import ObjectStore
from pipeline.artifacts import Artifact, WindowManifest
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.errors import ArtifactError
from pipeline.records import Frozen
from pipeline.run import RunContext

PREDICTIONS = "predictions.jsonl"
_LOG = logging.getLogger(__name__)


class Watermark(Frozen):
    """`windows-seen/<name>.json`: changed only by compare-and-set."""

    sequence: int = 0
    run_id: str = ""
    window: str = ""
    """URI of the last window, so that a repeated run returns it again."""
    end: datetime | None = None
    segments: tuple[str, ...] = ()
    """Segments that were read and could still be listed for the next window."""


class Period(Frozen):
    """What a window asks of the log."""

    since: datetime
    until: datetime
    seen: frozenset[str] = Field(default=frozenset())
    """Segments of which only records from `since` on are due; with `late`, others are due whole."""
    late: bool = False

    def wants(self, segment: str, time: datetime) -> bool:
        """Whether a record of a segment belongs to this period."""
        due = time >= self.since or (self.late and segment not in self.seen)
        return due and time < self.until


def collect(
    name: str,
    since: datetime | None,
    until: datetime | None,
    config: MonitoringConfig,
    *,
    store: ArtifactStore,
    run: RunContext,
) -> Artifact[WindowManifest]:
    """Publish the promoted model's predictions of [since, until) as a window.

    Args:
        name: the model name whose log is read.
        since: none continues where the last window ended, at first from the promotion.
        until: none means now.
        config: how late a segment may arrive, and how many images can be tested.
        store: where logs, pointer and windows are.
        run: who asks; the same run gets the same window again.

    Raises:
        ArtifactError: when no model of that name is promoted.
        ConflictError: when another run took a window meanwhile.
    """
    pointer = Registry(store.objects, store.root, name).read()
    if pointer is None:
        raise ArtifactError("no model is promoted", expected="a promoted model", received=name)
    mark, etag = _watermark(store, name)
    if since is None and mark.run_id == run.run_id:
        return store.open(mark.window, WindowManifest)
    period = Period(
        since=since or mark.end or pointer.time,
        until=until or run.created_at,
        seen=frozenset(mark.segments),
        late=since is None,
    )
    _LOG.info("collecting %s from %s to %s", name, period.since, period.until)
    segments = _segments(store, name, period, config.collect.late_days)
    records, counts = _read(store.objects, segments, period, pointer.tag)
    window = _publish(name, records, counts, period, pointer, store=store, run=run)
    if since is None and counts["distinct"] >= config.test.min_sample:
        moved = Watermark(
            sequence=mark.sequence + 1,
            run_id=run.run_id,
            window=window.uri,
            end=period.until,
            segments=_still_listed(segments, period.until, config.collect.late_days),
        )
        _move(store, name, moved, etag)
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


def _segments(store: ArtifactStore, name: str, period: Period, late_days: int) -> list[str]:
    day = (period.since - timedelta(days=late_days)).date()
    segments: list[str] = []
    while day <= period.until.date():
        prefix = f"{store.root}/logs/{name}/{day.isoformat()}/"
        segments += [o.uri for o in store.objects.list(prefix) if o.uri.endswith(".jsonl")]
        day += timedelta(days=1)
    return segments


def _still_listed(segments: list[str], end: datetime, late_days: int) -> tuple[str, ...]:
    first = (end - timedelta(days=late_days)).date()
    return tuple(s for s in segments if date.fromisoformat(s.split("/")[-2]) >= first)


def _read(
    objects: ObjectStore, segments: list[str], period: Period, tag: str
) -> tuple[list[PredictionRecord], Counter[str]]:
    """The period's records of one model, each request once, in order of time."""
    counts = Counter(segments=len(segments), unreadable=0, repeated=0, other_model=0)
    found: dict[str, PredictionRecord] = {}
    for uri in segments:
        records, unreadable = parse_segment(objects.read(uri), uri)
        counts["unreadable"] += unreadable
        for record in records:
            if not period.wants(uri, record.time):
                continue
            if record.tag != tag:
                counts["other_model"] += 1
            elif record.request_id in found:
                counts["repeated"] += 1
            else:
                found[record.request_id] = record
    counts["records"] = len(found)
    counts["distinct"] = len({(r.stats, r.embedding) for r in found.values()})
    return sorted(found.values(), key=lambda r: (r.time, r.request_id)), counts


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
            start=period.since,
            end=period.until,
        )
        return store.publish(Path(folder), manifest)


def _watermark_uri(store: ArtifactStore, name: str) -> str:
    return f"{store.root}/windows-seen/{name}.json"


def _watermark(store: ArtifactStore, name: str) -> tuple[Watermark, str | None]:
    found = store.objects.read_tagged(_watermark_uri(store, name))
    return (Watermark.model_validate_json(found[0]), found[1]) if found else (Watermark(), None)


def _move(store: ArtifactStore, name: str, mark: Watermark, etag: str | None) -> None:
    body = mark.model_dump_json(indent=2).encode()
    uri = _watermark_uri(store, name)
    store.objects.write(uri, body, if_match=etag, if_absent=etag is None)
