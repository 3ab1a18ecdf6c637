"""The policy, case by case."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring.config import PolicyConfig
from monitoring.drift.result import DriftResult
from monitoring.retraining.policy import RetrainRequest, apply_policy

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CONFIG = PolicyConfig(
    min_sample=30, alarms_in_a_row=2, cool_down_hours=24, request_expires_hours=72
)


def _drift(verdict: Any = "alarm", distinct: int = 60) -> DriftResult:
    return DriftResult(
        verdict=verdict,
        alarm=verdict == "alarm",
        reasons=("red is 2.0 times as far off as chance explains",),
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
    ("drift", "earlier", "last", "requested", "why"),
    [
        (_drift("quiet"), ["alarm"], None, False, "no alarm"),
        (_drift("not_enough"), ["alarm"], None, False, "no alarm"),
        (_drift(distinct=29), ["alarm"], None, False, "sample too small"),
        (_drift(), [], None, False, "1 alarms in a row of 2"),
        (_drift(), ["alarm", "quiet"], None, False, "1 alarms in a row of 2"),
        (_drift(), ["alarm", "not_enough"], None, True, "drift on 60 images"),
        (_drift(), ["alarm"], None, True, "drift on 60 images"),
        (_drift(), ["alarm"], _request(1), False, "a request is open"),
        (_drift(), ["alarm"], _request(71), False, "a request is open"),
        (_drift(), ["alarm"], _request(73), True, "drift on 60 images"),
        (_drift(), ["alarm"], _request(23, "promoted"), False, "cool-down until 2026-11-22 13:00"),
        (_drift(), ["alarm"], _request(25, "refused"), True, "drift on 60 images"),
    ],
)
def test_rule(
    drift: DriftResult,
    earlier: list[str],
    last: RetrainRequest | None,
    requested: bool,
    why: str,
) -> None:
    """Each rule in turn settles the decision and is named as its reason."""
    decided, reason = apply_policy(drift, earlier, last, CONFIG, NOW)
    assert decided is requested
    assert why in reason
