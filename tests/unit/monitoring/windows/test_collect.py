"""Windows from log segments in a store of local files."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitoring.config import DriftTestConfig, MonitoringConfig
from monitoring.drift.detect import read_window
from monitoring.windows.collect import PREDICTIONS, collect
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.registry import Pointer, Registry
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, WindowManifest
from pipeline.contract.prediction_log import PredictionRecord
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.run import RunContext
from tests.unit.monitoring.fake_predictions import START, TAG, FakePredictions

CONFIG = MonitoringConfig(test=DriftTestConfig(min_sample=10))
HOUR = timedelta(hours=1)


class Log:
    """A store with a promoted model, a log to write to and a clock to read it by."""

    def __init__(self, root: Path) -> None:
        self.store = ArtifactStore(LocalStore(), str(root))
        self._runs = 0
        self._predictions = FakePredictions(seed=2)
        self._registry = Registry(self.store.objects, self.store.root, "demo")
        self.promote(TAG)

    def promote(self, tag: str) -> None:
        """Point to a model, promoted an hour before START."""
        pointer = Pointer(
            sequence=0, name="demo", tag=tag, served="s", evaluation="evaluation/demo/x",
            verdict="v", author="a", reason="r", time=START - HOUR,
        )  # fmt: skip
        self._registry.move(pointer, self._registry.read())

    def records(self, count: int, time: datetime, tag: str = TAG) -> list[PredictionRecord]:
        """Predictions of one moment."""
        return [
            item.record.model_copy(update={"time": time, "tag": tag})
            for item in self._predictions.draw(count, 1)
        ]

    def segment(self, name: str, records: Sequence[PredictionRecord], torn: bytes = b"") -> None:
        """Upload a closed segment."""
        day = records[0].time.date() if records else START.date()
        uri = f"{self.store.root}/logs/demo/{day}/{name}.jsonl"
        body = "".join(record.model_dump_json() + "\n" for record in records)
        self.store.objects.write(uri, body.encode() + torn)

    def collect(
        self,
        now: datetime,
        since: datetime | None = None,
        until: datetime | None = None,
        run_id: str = "",
    ) -> Artifact[WindowManifest]:
        """Run the step, each time as a new run unless named."""
        self._runs += 1
        run = RunContext(run_id=run_id or f"run{self._runs}", code_version="c", created_at=now)
        return collect("demo", since, until or now, CONFIG, store=self.store, run=run)

    def count(self, window: Artifact[WindowManifest]) -> int:
        """Predictions in a window."""
        return len(read_window(self.store, window))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty log of the model `demo`."""
    return Log(tmp_path)


def test_the_first_window_begins_at_the_promotion(log: Log) -> None:
    """Without a watermark everything since the promotion is due, and the model is named."""
    log.segment("w1-1", log.records(12, START))
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert (window.manifest.start, window.manifest.end) == (START - HOUR, START + HOUR)
    assert window.manifest.inputs == {"model": TAG, "evaluation": "evaluation/demo/x"}


def test_every_record_enters_exactly_one_window(log: Log) -> None:
    """Segments that arrive late, and records after the end of a window, enter the next one."""
    early, late = log.records(12, START), log.records(11, START + 2 * HOUR)
    log.segment("w1-1", [*early, *late])
    assert log.count(log.collect(START + HOUR)) == 12
    log.segment("w2-1", log.records(5, START + HOUR / 2))
    assert log.count(log.collect(START + 3 * HOUR)) == 16
    assert log.count(log.collect(START + 4 * HOUR)) == 0


def test_a_window_too_small_to_test_is_kept_open(log: Log) -> None:
    """Slow traffic adds up until there is enough to test."""
    log.segment("w1-1", log.records(6, START))
    assert log.count(log.collect(START + HOUR)) == 6
    log.segment("w1-2", log.records(6, START + HOUR))
    assert log.count(log.collect(START + 2 * HOUR)) == 12
    assert log.count(log.collect(START + 3 * HOUR)) == 0


def test_a_repeated_run_gets_its_window_again(log: Log) -> None:
    """A run that is cleared after others is identified by the end of its data interval."""
    log.segment("w1-1", log.records(12, START))
    first = log.collect(START + HOUR)
    log.segment("w1-2", log.records(12, START + HOUR))
    second = log.collect(START + 2 * HOUR)
    log.segment("w1-3", log.records(12, START + 2 * HOUR))
    assert log.collect(START + 90 * HOUR, until=START + HOUR) == first
    assert log.collect(START + 90 * HOUR, until=START + 2 * HOUR) == second
    assert log.count(log.collect(START + 3 * HOUR)) == 12


def test_a_window_too_small_to_test_is_the_runs_window_too(log: Log) -> None:
    """Cleared after a segment came late, the run gets the same window; the next one gets both."""
    log.segment("w1-1", log.records(6, START))
    small = log.collect(START + HOUR)
    log.segment("w2-1", log.records(6, START))
    assert log.collect(START + 5 * HOUR, until=START + HOUR) == small
    assert log.count(log.collect(START + 2 * HOUR)) == 12


def test_nothing_later_than_the_end_of_the_interval_is_read(log: Log) -> None:
    """A run that executes hours after its interval leaves today's images to today's run."""
    log.segment("w1-1", [*log.records(12, START), *log.records(11, START + 2 * HOUR)])
    assert log.count(log.collect(START + 9 * HOUR, until=START + HOUR)) == 12
    assert log.count(log.collect(START + 9 * HOUR, until=START + 3 * HOUR)) == 11


def test_a_run_that_executes_after_later_ones_gets_what_they_left(log: Log) -> None:
    """A failed run that is cleared takes late images of its interval, and none that was tested."""
    log.segment("w1-1", [*log.records(12, START), *log.records(11, START + 1.5 * HOUR)])
    later = log.collect(START + 2 * HOUR)
    log.segment("w2-1", [*log.records(10, START), *log.records(10, START + 3 * HOUR)])
    failed = log.collect(START + 5 * HOUR, until=START + HOUR)
    assert (log.count(later), log.count(failed)) == (23, 10)
    assert log.count(log.collect(START + 6 * HOUR)) == 10


def test_a_named_period_moves_no_watermark(log: Log) -> None:
    """A replay of a past period is exact, half open, and takes nothing from later windows."""
    log.segment("w1-1", [*log.records(12, START), *log.records(3, START + HOUR)])
    window = log.collect(START + 5 * HOUR, since=START, until=START + HOUR)
    assert log.count(window) == 12
    again = log.collect(START + 6 * HOUR, since=START, until=START + HOUR)
    assert again.uri == window.uri
    assert log.count(log.collect(START + 7 * HOUR)) == 15


def test_a_period_that_ends_before_it_begins_is_refused(log: Log) -> None:
    """It would be an empty window without a word."""
    with pytest.raises(InvalidInputError, match="a window ends before it begins; expected since"):
        log.collect(START, since=START)


def test_a_window_of_the_future_is_refused(log: Log) -> None:
    """It would keep the images of the coming days from every later window."""
    with pytest.raises(InvalidInputError, match="a window ends in the future; expected until at m"):
        log.collect(START, until=START + HOUR)


def test_a_torn_last_line_is_skipped_and_counted(log: Log) -> None:
    """A crash in mid-line costs that line only."""
    records = log.records(13, START)
    log.segment("w1-1", records[:-1], torn=records[-1].model_dump_json()[:80].encode())
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert window.manifest.counts["unreadable"] == 1


def test_an_unreadable_line_in_the_middle_is_told(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    """What no crash explains is skipped too, with a warning that names the line."""
    records = log.records(12, START)
    rest = "".join(r.model_dump_json() + "\n" for r in records[6:]).encode()
    log.segment("w1-1", records[:6], torn=b"{}\n" + rest)
    assert log.count(log.collect(START + HOUR)) == 12
    assert "w1-1.jsonl line 7" in caplog.text


def test_a_line_counts_once(log: Log) -> None:
    """A segment uploaded twice under two names adds nothing."""
    records = log.records(12, START)
    log.segment("w1-1", records)
    log.segment("w1-2", records)
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert window.manifest.counts["repeated"] == 12


def test_predictions_under_one_request_id_all_count(log: Log) -> None:
    """Callers choose ids: a constant `X-Request-ID` hides no image from the drift test."""
    records = [r.model_copy(update={"request_id": "mine"}) for r in log.records(12, START)]
    log.segment("w1-1", records[:6])
    log.segment("w2-1", records[6:])
    window = log.collect(START + HOUR)
    assert {r.stats for r in read_window(log.store, window)} == {r.stats for r in records}
    assert (window.manifest.counts["records"], window.manifest.counts["repeated"]) == (12, 0)


def test_only_the_promoted_model_is_tested(log: Log) -> None:
    """Answers of another model are counted and left out."""
    log.segment("w1-1", log.records(12, START) + log.records(4, START, tag="demo:ffffffffffff"))
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert window.manifest.counts["other_model"] == 4


def test_without_a_promoted_model_there_is_no_window(tmp_path: Path) -> None:
    """Monitoring of a name that serves nothing is an error that says so."""
    store = ArtifactStore(LocalStore(), str(tmp_path))
    run = RunContext(run_id="r", code_version="c", created_at=START)
    with pytest.raises(ArtifactError, match="no model is promoted"):
        collect("demo", None, START, CONFIG, store=store, run=run)


def test_an_empty_window_is_a_window(log: Log) -> None:
    """No traffic gives a window without predictions."""
    window = log.collect(START + HOUR)
    assert log.store.read(window, PREDICTIONS) == b""
