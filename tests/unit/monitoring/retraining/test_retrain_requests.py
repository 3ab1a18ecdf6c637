"""Decisions and the one open request, on local files."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitoring.config import PolicyConfig
from monitoring.drift.result import DriftResult
from monitoring.retraining.retrain_requests import RetrainRequests, read_decision
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, DriftManifest, WindowManifest
from pipeline.run import RunContext
from tests.unit.monitoring.fake_predictions import START

CONFIG = PolicyConfig(cool_down_hours=1)


class Desk:
    """Decides on windows that end at a given hour."""

    def __init__(self, root: Path) -> None:
        self.objects = LocalStore()
        self.requests = RetrainRequests(self.objects, str(root), "demo")

    def decide(self, hour: float, *, alarm: bool = True, config: PolicyConfig = CONFIG) -> str:
        """URI of the decision."""
        end = START + timedelta(hours=hour)
        run = RunContext(run_id=f"run{hour}", code_version="c", created_at=end)
        window = Artifact(f"window/{hour}", WindowManifest(**_manifest(end), start=START, end=end))
        drift = Artifact(f"drift/{hour}", DriftManifest(**_manifest(end), tag="t", alarm=alarm))
        verdict = DriftResult(
            verdict="alarm" if alarm else "quiet", alarm=alarm, reasons=("red moved",),
            n=60, distinct=60, reference_images=100, reference_groups=40, alpha=0.01, draws=200,
        )  # fmt: skip
        return self.requests.decide(drift, verdict, window, config, run)

    def asked(self, hour: float, *, alarm: bool = True, config: PolicyConfig = CONFIG) -> bool:
        """Whether the decision requests a retrain."""
        uri = self.decide(hour, alarm=alarm, config=config)
        return read_decision(self.objects, uri).requested


def _manifest(time: datetime) -> dict[str, object]:
    return {"name": "demo", "run_id": "r", "code_version": "c", "created_at": time}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Nothing decided yet."""
    return Desk(tmp_path)


def test_one_request_at_a_time_then_a_cool_down(desk: Desk) -> None:
    """A second alarm waits for the first training to end, and then for the cool-down."""
    assert desk.asked(0)
    assert not desk.asked(0.5)
    assert desk.requests.close("window/0", "refused", START + timedelta(hours=0.6))
    assert not desk.asked(0.7)
    assert desk.asked(2)


def test_a_request_that_is_not_open_cannot_be_closed(desk: Desk) -> None:
    """Closing twice, or without a request, says no."""
    assert not desk.requests.close("window/0", "promoted", START)
    desk.decide(0)
    assert desk.requests.close("window/0", "promoted", START)
    assert not desk.requests.close("window/0", "promoted", START)
    last = desk.requests.last()
    assert last is not None
    assert (last.open, last.sequence) == (False, 2)


def test_a_late_run_does_not_close_the_next_request(desk: Desk) -> None:
    """A request that expired and was followed by another is not the one that is open."""
    desk.decide(0)
    assert desk.asked(80)
    assert not desk.requests.close("window/0", "failed", START)
    assert desk.requests.close("window/80", "promoted", START)


def test_a_decision_stands(desk: Desk) -> None:
    """Asked again about the same window, the first decision is the answer."""
    first = desk.decide(0)
    desk.requests.close("window/0", "promoted", START)
    assert desk.decide(0) == first
    assert desk.asked(0)


def test_a_request_whose_decision_was_lost_is_found_again(desk: Desk) -> None:
    """A crash between opening the request and writing the decision loses neither."""
    uri = Path(desk.decide(0))
    uri.unlink()
    assert desk.asked(0)
    last = desk.requests.last()
    assert last is not None
    assert last.sequence == 1


def test_persistence_counts_decisions_written_earlier(desk: Desk) -> None:
    """With two alarms in a row asked for, the second one requests."""
    twice = CONFIG.model_copy(update={"alarms_in_a_row": 2})
    assert not desk.asked(0, config=twice)
    assert not desk.asked(1, alarm=False, config=twice)
    assert not desk.asked(2, config=twice)
    assert desk.asked(3, config=twice)


def test_every_decision_is_written_with_its_reason(desk: Desk) -> None:
    """Also a decision to wait says why."""
    decision = read_decision(desk.objects, desk.decide(0, alarm=False))
    assert decision.reason == "red moved"
    assert decision.window == "window/0"
