"""The retrain policy, one case per rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.config import PolicyConfig
from monitoring.drift.messages import NO_DRIFT
from monitoring.drift.result import DriftResult
from monitoring.retraining.policy import RetrainRequest, apply_policy

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONFIG = PolicyConfig(
    min_sample=30, alarms_in_a_row=2, cool_down_hours=24, request_expires_hours=72
)


DRIFT = "drift in 60 images (red: 2.0x the alarm threshold)"
REASONS = {
    "alarm": "red: 2.0x the alarm threshold",
    "quiet": NO_DRIFT,
    "not_enough": "too few images to test",
}


def _drift(verdict: Any = "alarm", distinct: int = 60) -> DriftResult:
    return DriftResult(
        verdict=verdict,
        alarm=verdict == "alarm",
        reasons=(REASONS[verdict],),
        n=distinct,
        distinct=distinct,
        reference_images=100,
        reference_groups=40,
        alpha=0.01,
        draws=200,
    )


def _request(hours_ago: float, outcome: str = "") -> RetrainRequest:
    return RetrainRequest(
        sequence=1,
        window="w",
        reason="r",
        time=NOW - timedelta(hours=hours_ago),
        run_id="run",
        outcome=outcome,
    )


@pytest.mark.parametrize(
    ("drift", "earlier", "last", "requested", "expected"),
    [
        (_drift("quiet"), ["alarm"], None, False, NO_DRIFT),
        (_drift("not_enough"), ["alarm"], None, False, "too few images to test"),
        (_drift(distinct=29), ["alarm"], None, False, "29 distinct images, at least 30 required"),
        (_drift(), [], None, False, "1 of 2 consecutive alarms"),
        (_drift(), ["alarm", "quiet"], None, False, "1 of 2 consecutive alarms"),
        (
            _drift(),
            ["alarm", "not_enough"],
            None,
            True,
            DRIFT,
        ),
        (_drift(), ["alarm"], None, True, DRIFT),
        (_drift(), ["alarm"], _request(1), False, "a retrain request is open"),
        (_drift(), ["alarm"], _request(71), False, "a retrain request is open"),
        (
            _drift(),
            ["alarm"],
            _request(73),
            True,
            DRIFT,
        ),
        (_drift(), ["alarm"], _request(23, "promoted"), False, "cool-down until 2026-11-22 13:00"),
        (
            _drift(),
            ["alarm"],
            _request(25, "refused"),
            True,
            DRIFT,
        ),
    ],
)
def test_policy(
    drift: DriftResult,
    earlier: list[str],
    last: RetrainRequest | None,
    requested: bool,
    expected: str,
) -> None:
    """The first rule that applies decides, and the reason names it."""
    result, reason = apply_policy(drift, earlier, last, CONFIG, NOW)
    assert result is requested
    assert expected in reason
