"""Windows from log segments in a local store."""

from pathlib import Path

import pytest

from monitoring.drift.detect import read_window
from monitoring.drift.messages import other_models
from monitoring.windows.collect import PREDICTIONS, WindowRequest, collect
from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.run_context import RunContext
from tests.unit.monitoring.fake_log import CONFIG, HOUR, FakeLog
from tests.unit.monitoring.fake_predictions import START, TAG


@pytest.fixture
def log(tmp_path: Path) -> FakeLog:
    """An empty log of the model `demo`."""
    return FakeLog(tmp_path)


def test_the_first_window_starts_at_the_promotion(log: FakeLog) -> None:
    """Without a watermark all records since the promotion are due."""
    log.segment("w1-1", log.records(12, START))
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert (window.manifest.start, window.manifest.end) == (START - HOUR, START + HOUR)
    assert window.manifest.inputs == {"model": TAG, "evaluation": f"evaluation/{TAG}"}


def test_every_record_is_in_exactly_one_window(log: FakeLog) -> None:
    """Late segments and records after the end of a window are in the next window."""
    early, late = log.records(12, START), log.records(11, START + 2 * HOUR)
    log.segment("w1-1", [*early, *late])
    assert log.count(log.collect(START + HOUR)) == 12
    log.segment("w2-1", log.records(5, START + HOUR / 2))
    assert log.count(log.collect(START + 3 * HOUR)) == 16
    assert log.count(log.collect(START + 4 * HOUR)) == 0


def test_records_of_a_window_too_small_to_test_are_collected_again(log: FakeLog) -> None:
    """Windows of slow traffic grow until there are enough images to test."""
    log.segment("w1-1", log.records(6, START))
    assert log.count(log.collect(START + HOUR)) == 6
    log.segment("w1-2", log.records(6, START + HOUR))
    assert log.count(log.collect(START + 2 * HOUR)) == 12
    assert log.count(log.collect(START + 3 * HOUR)) == 0


def test_a_cleared_run_gets_its_window_again(log: FakeLog) -> None:
    """The end of the data interval identifies a run that is cleared after later runs."""
    log.segment("w1-1", log.records(12, START))
    first = log.collect(START + HOUR)
    log.segment("w1-2", log.records(12, START + HOUR))
    second = log.collect(START + 2 * HOUR)
    log.segment("w1-3", log.records(12, START + 2 * HOUR))
    assert log.collect(START + 90 * HOUR, until=START + HOUR) == first
    assert log.collect(START + 90 * HOUR, until=START + 2 * HOUR) == second
    assert log.count(log.collect(START + 3 * HOUR)) == 12


def test_a_cleared_run_gets_its_window_again_if_it_was_too_small(log: FakeLog) -> None:
    """A late segment does not change the window of a cleared run; the next run gets both."""
    log.segment("w1-1", log.records(6, START))
    small = log.collect(START + HOUR)
    log.segment("w2-1", log.records(6, START))
    assert log.collect(START + 5 * HOUR, until=START + HOUR) == small
    assert log.count(log.collect(START + 2 * HOUR)) == 12


def test_records_after_the_data_interval_are_not_read(log: FakeLog) -> None:
    """A run that executes hours after its interval leaves later records to later runs."""
    log.segment("w1-1", [*log.records(12, START), *log.records(11, START + 2 * HOUR)])
    assert log.count(log.collect(START + 9 * HOUR, until=START + HOUR)) == 12
    assert log.count(log.collect(START + 9 * HOUR, until=START + 3 * HOUR)) == 11


def test_a_run_that_executes_after_later_runs_gets_unread_records(log: FakeLog) -> None:
    """A cleared failed run collects late records of its interval, and no tested record again."""
    log.segment("w1-1", [*log.records(12, START), *log.records(11, START + 1.5 * HOUR)])
    later = log.collect(START + 2 * HOUR)
    log.segment("w2-1", [*log.records(10, START), *log.records(10, START + 3 * HOUR)])
    failed = log.collect(START + 5 * HOUR, until=START + HOUR)
    assert (log.count(later), log.count(failed)) == (23, 10)
    assert log.count(log.collect(START + 6 * HOUR)) == 10


def test_an_explicit_interval_leaves_the_watermark_unchanged(log: FakeLog) -> None:
    """A replay of a past interval is half open and reproducible; later windows do not change."""
    log.segment("w1-1", [*log.records(12, START), *log.records(3, START + HOUR)])
    window = log.collect(START + 5 * HOUR, since=START, until=START + HOUR)
    assert log.count(window) == 12
    again = log.collect(START + 6 * HOUR, since=START, until=START + HOUR)
    assert again.uri == window.uri
    assert log.count(log.collect(START + 7 * HOUR)) == 15


def test_an_interval_that_ends_before_it_starts_is_refused(log: FakeLog) -> None:
    """It would silently be an empty window."""
    with pytest.raises(InvalidInputError, match="the window ends before it starts; expected since"):
        log.collect(START, since=START)


def test_a_window_in_the_future_is_refused(log: FakeLog) -> None:
    """It would exclude the records of the coming days from every later window."""
    with pytest.raises(InvalidInputError, match="window ends in the future; expected until at m"):
        log.collect(START, until=START + HOUR)


def test_a_truncated_last_line_is_skipped_and_counted(log: FakeLog) -> None:
    """A crash within a line loses that line only."""
    records = log.records(13, START)
    log.segment("w1-1", records[:-1], tail=records[-1].model_dump_json()[:80].encode())
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert window.manifest.counts["unreadable"] == 1


def test_an_unreadable_line_within_a_segment_is_logged(
    log: FakeLog, caplog: pytest.LogCaptureFixture
) -> None:
    """It is skipped with a warning that names file and line."""
    records = log.records(12, START)
    rest = "".join(r.model_dump_json() + "\n" for r in records[6:]).encode()
    log.segment("w1-1", records[:6], tail=b"{}\n" + rest)
    assert log.count(log.collect(START + HOUR)) == 12
    assert "w1-1.jsonl line 7" in caplog.text


def test_a_repeated_line_counts_once(log: FakeLog) -> None:
    """A segment uploaded under a second name adds no records."""
    records = log.records(12, START)
    log.segment("w1-1", records)
    log.segment("w1-2", records)
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert window.manifest.counts["repeated"] == 12


@pytest.mark.field("request_id")
def test_predictions_with_one_request_id_all_count(log: FakeLog) -> None:
    """Clients choose ids: a constant `X-Request-ID` hides no image from the drift test."""
    records = [r.model_copy(update={"request_id": "mine"}) for r in log.records(12, START)]
    log.segment("w1-1", records[:6])
    log.segment("w2-1", records[6:])
    window = log.collect(START + HOUR)
    assert {r.stats for r in read_window(log.store, window)} == {r.stats for r in records}
    assert (window.manifest.counts["records"], window.manifest.counts["repeated"]) == (12, 0)


OTHER = "demo:ffffffffffff"


@pytest.mark.field("container_model")
def test_the_model_that_answers_is_tested(log: FakeLog) -> None:
    """A container keeps the model it was built with when another one is promoted."""
    log.promote(OTHER)
    log.segment("w1-1", log.records(12, START) + log.records(3, START, tag=OTHER))
    window = log.collect(START + HOUR)
    assert {record.tag for record in read_window(log.store, window)} == {TAG}
    assert window.manifest.inputs == {"model": TAG, "evaluation": f"evaluation/{TAG}"}
    assert window.manifest.promoted == OTHER
    assert window.manifest.answered == {TAG: 12, OTHER: 3}
    (first, second) = other_models(window.manifest)
    assert first.startswith(f"{TAG} made 12 of 15 predictions")
    assert OTHER in first
    assert second.startswith(f"not tested: 3 of 15 predictions, by {OTHER}")


@pytest.mark.field("container_model")
@pytest.mark.parametrize(("promoted", "before"), [(12, 12), (12, 0), (0, 0)])
def test_the_promoted_model_is_tested_if_no_other_answers_more(
    log: FakeLog, promoted: int, before: int
) -> None:
    """As many count for the promoted one."""
    log.promote(OTHER)
    log.segment("w1-1", log.records(before, START) + log.records(promoted, START, tag=OTHER))
    window = log.collect(START + HOUR)
    assert window.manifest.inputs["model"] == OTHER
    assert log.count(window) == promoted
    assert len(other_models(window.manifest)) == bool(before)


def test_only_the_promoted_model_is_tested(log: FakeLog) -> None:
    """Predictions of a model without a promotion are counted and excluded: it has no reference."""
    log.segment("w1-1", log.records(12, START) + log.records(14, START, tag=OTHER))
    window = log.collect(START + HOUR)
    assert log.count(window) == 12
    assert window.manifest.counts["other_model"] == 14


def test_without_a_promoted_model_there_is_no_window(tmp_path: Path) -> None:
    """Collecting for a model name without a champion is an error."""
    store = ArtifactStore(LocalStore(), str(tmp_path))
    run = RunContext(run_id="r", code_version="c", created_at=START)
    with pytest.raises(ArtifactError, match="no model is promoted"):
        collect(WindowRequest(name="demo", until=START), CONFIG, store=store, run=run)


def test_a_window_without_traffic_is_empty(log: FakeLog) -> None:
    """Without traffic the window has no predictions."""
    window = log.collect(START + HOUR)
    assert log.store.read(window, PREDICTIONS) == b""
