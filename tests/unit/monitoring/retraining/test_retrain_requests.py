"""Retrain decisions and the open request, in a local store."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from monitoring.config import PolicyConfig
from monitoring.drift.result import DriftResult
from monitoring.retraining.retrain_requests import RetrainRequestStore, read_decision
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, DriftManifest, WindowManifest
from pipeline.run_context import RunContext
from tests.unit.monitoring.fake_predictions import START

CONFIG = PolicyConfig(cool_down_hours=1)


class Decisions:
    """Decides on windows that end at a given hour, with results that alarm or not."""

    def __init__(self, root: Path) -> None:
        self.objects = LocalStore()
        self.requests = RetrainRequestStore(self.objects, str(root), "demo")

    def decide(self, hour: float, *, alarm: bool = True, config: PolicyConfig = CONFIG) -> str:
        """URI of the decision."""
        end = START + timedelta(hours=hour)
        run = RunContext(run_id=f"run{hour}", code_version="c", created_at=end)
        window = Artifact(f"window/{hour}", WindowManifest(**_manifest(end), start=START, end=end))
        drift = Artifact(f"drift/{hour}", DriftManifest(**_manifest(end), tag="t", alarm=alarm))
        result = DriftResult(
            verdict="alarm" if alarm else "quiet", alarm=alarm, reasons=("red moved",),
            n=60, distinct=60, reference_images=100, reference_groups=40, alpha=0.01, draws=200,
        )  # fmt: skip
        return self.requests.decide(drift, result, window, config, run)

    def requests_retrain(
        self, hour: float, *, alarm: bool = True, config: PolicyConfig = CONFIG
    ) -> bool:
        """Whether the decision requests a retrain."""
        uri = self.decide(hour, alarm=alarm, config=config)
        return read_decision(self.objects, uri).requested


def _manifest(time: datetime) -> dict[str, object]:
    return {"name": "demo", "run_id": "r", "code_version": "c", "created_at": time}


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    """An empty store."""
    return Decisions(tmp_path)


def test_one_open_request_then_a_cool_down(decisions: Decisions) -> None:
    """An alarm requests nothing while a request is open, nor during the cool-down after it."""
    assert decisions.requests_retrain(0)
    assert not decisions.requests_retrain(0.5)
    assert decisions.requests.close("window/0", "refused", START + timedelta(hours=0.6))
    assert not decisions.requests_retrain(0.7)
    assert decisions.requests_retrain(2)


def test_a_request_that_is_not_open_cannot_be_closed(decisions: Decisions) -> None:
    """Closing a closed request, or none, returns False."""
    assert not decisions.requests.close("window/0", "promoted", START)
    decisions.decide(0)
    assert decisions.requests.close("window/0", "promoted", START)
    assert not decisions.requests.close("window/0", "promoted", START)
    last = decisions.requests.last()
    assert last is not None
    assert (last.open, last.sequence) == (False, 2)


def test_a_late_run_does_not_close_the_next_request(decisions: Decisions) -> None:
    """An expired request that another replaced cannot be closed."""
    decisions.decide(0)
    assert decisions.requests_retrain(80)
    assert not decisions.requests.close("window/0", "failed", START)
    assert decisions.requests.close("window/80", "promoted", START)


def test_a_decision_is_final(decisions: Decisions) -> None:
    """A second call for the same window returns the first decision."""
    first = decisions.decide(0)
    decisions.requests.close("window/0", "promoted", START)
    assert decisions.decide(0) == first
    assert decisions.requests_retrain(0)


def test_a_retry_writes_the_decision_of_an_open_request(decisions: Decisions) -> None:
    """After a crash between request and decision, a retry opens no second request."""
    uri = Path(decisions.decide(0))
    uri.unlink()
    assert decisions.requests_retrain(0)
    last = decisions.requests.last()
    assert last is not None
    assert last.sequence == 1


def test_persistence_counts_earlier_decisions(decisions: Decisions) -> None:
    """With `alarms_in_a_row=2`, the second of two consecutive alarms requests a retrain."""
    twice = CONFIG.model_copy(update={"alarms_in_a_row": 2})
    assert not decisions.requests_retrain(0, config=twice)
    assert not decisions.requests_retrain(1, alarm=False, config=twice)
    assert not decisions.requests_retrain(2, config=twice)
    assert decisions.requests_retrain(3, config=twice)


def test_every_decision_has_a_reason(decisions: Decisions) -> None:
    """Also a decision not to retrain."""
    decision = read_decision(decisions.objects, decisions.decide(0, alarm=False))
    assert decision.reason == "red moved"
    assert decision.window == "window/0"
