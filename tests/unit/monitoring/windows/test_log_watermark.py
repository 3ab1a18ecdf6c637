"""Hourly runs in any order: every record is tested exactly once."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.config import CollectConfig, DriftTestConfig, MonitoringConfig
from monitoring.drift.detect import read_window
from monitoring.windows import log_watermark
from monitoring.windows.log_watermark import CollectedWindow, LogWatermark, LogWatermarkStore
from pipeline.artifacts import Artifact, WindowManifest
from pipeline.errors import ConflictError
from tests.unit.monitoring.fake_log import HOUR, FakeLog
from tests.unit.monitoring.fake_predictions import START

EVENING = START.replace(hour=20)
"""Start of the first data interval; the runs cross midnight."""
RUNS = 8
CONFIG = MonitoringConfig(test=DriftTestConfig(min_sample=10), collect=CollectConfig(late_days=1))


class HourlyRuns(FakeLog):
    """A prediction log, and hourly runs that can be late or cleared."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, CONFIG, promoted=EVENING - HOUR)
        self.arrived: dict[str, datetime] = {}
        """Request id to time of every prediction in the store."""

    def predict(self, hour: float, count: int) -> None:
        """Upload a segment with predictions of one time; in the past, it is a late segment."""
        records = self.records(count, EVENING + hour * HOUR)
        self.segment(records[0].request_id, records)
        self.arrived |= {record.request_id: record.time for record in records}

    def run(self, hour: int) -> Artifact[WindowManifest]:
        """Collect for the run whose data interval ends at this hour."""
        return self.collect(EVENING + hour * HOUR, run_id=f"scheduled-{hour}")

    def ids(self, window: Artifact[WindowManifest]) -> list[str]:
        """Request ids in a window."""
        return [record.request_id for record in read_window(self.store, window)]


segments = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.5, 4.0]), st.integers(1, 14)), max_size=2
)
"""Segments of one hour: hours late, number of images."""
courses = st.lists(
    st.tuples(segments, st.booleans(), st.lists(st.integers(0, RUNS - 1), max_size=2)),
    min_size=RUNS,
    max_size=RUNS,
)
"""For each hour: its segments, whether its run fails to start, and the runs cleared then."""


@settings(max_examples=25, deadline=None)
@given(courses)
def test_any_order_of_runs_tests_each_image_exactly_once(
    course: list[tuple[list[tuple[float, int]], bool, list[int]]],
) -> None:
    """With late segments, failed runs that are cleared hours later, and runs cleared twice."""
    with TemporaryDirectory() as folder:
        hours = HourlyRuns(Path(folder))
        first: dict[int, Artifact[WindowManifest]] = {}
        for hour, (uploads, fails, cleared) in enumerate(course, start=1):
            for late, count in uploads:
                hours.predict(hour - 0.25 - late, count)
            for run in ([] if fails else [hour]) + [c for c in cleared if 0 < c <= hour]:
                window = hours.run(run)
                assert first.setdefault(run, window) == window, "a cleared run's window changed"
        # A last window, large enough to be tested, collects the remaining records.
        hours.predict(RUNS + 0.5, 10)
        first[RUNS + 1] = hours.run(RUNS + 1)
        tested = [w for w in first.values() if w.manifest.counts["distinct"] >= 10]
        seen = Counter(name for window in tested for name in hours.ids(window))
        assert seen == Counter(hours.arrived.keys())
        for window in first.values():
            assert all(hours.arrived[name] < window.manifest.end for name in hours.ids(window))


@settings(max_examples=15, deadline=None)
@given(courses)
def test_clearing_runs_changes_no_other_run(
    course: list[tuple[list[tuple[float, int]], bool, list[int]]],
) -> None:
    """The same hours with and without cleared runs give windows with equal digests."""
    with TemporaryDirectory() as one, TemporaryDirectory() as other:
        plain, cleared = HourlyRuns(Path(one)), HourlyRuns(Path(other))
        for hour, (uploads, _, again) in enumerate(course, start=1):
            for hours in (plain, cleared):
                for late, count in uploads:
                    hours.predict(hour - 0.25 - late, count)
            assert plain.run(hour).digest == cleared.run(hour).digest
            for run in again:
                cleared.run(min(max(run, 1), hour))


@pytest.fixture
def hours(tmp_path: Path) -> HourlyRuns:
    """An empty log."""
    return HourlyRuns(tmp_path)


@pytest.mark.field("cleared_run")
def test_a_run_of_last_week_gets_its_window_again(
    hours: HourlyRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its window, tested or too small, is no longer in the watermark itself."""
    monkeypatch.setattr(log_watermark, "RECENT", 3)
    windows = []
    for hour in range(1, RUNS):
        hours.predict(hour - 0.5, 12 if hour % 2 else 3)
        windows.append(hours.run(hour))
    watermark, _ = LogWatermarkStore(hours.store.objects, hours.store.root, "demo").read()
    assert len(watermark.windows) == 3
    assert [hours.run(hour) for hour in range(1, RUNS)] == windows
    assert hours.run(RUNS).manifest.start == watermark.end


def test_a_watermark_of_version_0_1_is_continued(hours: HourlyRuns) -> None:
    """Its end, segments and last run are read; the next window repeats and loses no record."""
    hours.predict(0.5, 12)
    read = next(o.uri for o in hours.store.objects.list(f"{hours.store.root}/logs/"))
    old = hours.run(1)
    body = (
        f'{{"sequence": 7, "run_id": "scheduled-1", "window": "{old.uri}", '
        f'"end": "{(EVENING + 1.01 * HOUR).isoformat()}", "segments": ["{read}"]}}'
    )
    hours.store.objects.write(f"{hours.store.root}/windows-seen/demo.json", body.encode())
    assert hours.run(1) == old
    hours.predict(0.75, 5)
    hours.predict(1.5, 6)
    following = hours.run(2)
    assert len(hours.ids(following)) == 11
    assert following.manifest.start == EVENING + 1.01 * HOUR
    watermark, _ = LogWatermarkStore(hours.store.objects, hours.store.root, "demo").read()
    assert watermark.sequence == 8


def test_concurrent_runs_do_not_collect_the_same_records(hours: HourlyRuns) -> None:
    """The second run to write the watermark gets a ConflictError."""
    watermarks = LogWatermarkStore(hours.store.objects, hours.store.root, "demo")
    watermark, etag = watermarks.read()
    hours.predict(0.5, 12)
    hours.run(1)
    one = CollectedWindow(end=EVENING, window="w", run_id="r", tested=True)
    with pytest.raises(ConflictError):
        watermarks.replace(watermark.add(one, [], 1), etag)


def test_old_segments_leave_the_watermark() -> None:
    """A segment older than `late_days` is removed and no longer read: the watermark stays small."""
    days = [START - n * timedelta(days=1) for n in (5, 1, 0)]
    uris = [f"s/logs/demo/{day.date()}/w-1.jsonl" for day in days]
    one = CollectedWindow(end=START, window="w", run_id="r", tested=True)
    watermark = LogWatermark().add(one, uris, late_days=2)
    assert list(watermark.segments) == uris[1:]
    assert watermark.first_day(START, 2) == (START - timedelta(days=2)).date()


def test_a_reused_run_id_is_another_run(hours: HourlyRuns) -> None:
    """The end of the data interval identifies a run, not its id."""
    hours.predict(0.5, 12)
    hours.run(1)
    watermarks = LogWatermarkStore(hours.store.objects, hours.store.root, "demo")
    watermark, _ = watermarks.read()
    (known,) = watermark.windows
    assert watermarks.find_window(watermark, known.end, "another") == known
    assert watermarks.find_window(watermark, known.end + HOUR, known.run_id) is None
