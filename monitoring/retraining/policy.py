"""Retrain policy: decide from a drift result whether to request a retrain. Pure, without I/O."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import takewhile

from monitoring.config import PolicyConfig
from monitoring.drift.result import DriftResult
from pipeline.records import Frozen


class RetrainRequest(Frozen):
    """The last retrain request, open until its training run ends: `retrain/<name>/open.json`."""

    sequence: int
    """Incremented by every change."""
    window: str
    """URI of the window that caused the request."""
    reason: str
    time: datetime
    run_id: str
    outcome: str = ""
    """Result of the training run; empty while the request is open."""

    @property
    def open(self) -> bool:
        """Whether the training run has not ended."""
        return not self.outcome


class RetrainDecision(Frozen):
    """Whether one window requests a retrain, and why: `retrain/<name>/decisions/*.json`."""

    name: str
    run_id: str
    time: datetime
    window: str
    drift: str
    verdict: str
    requested: bool
    reason: str


def apply_policy(
    drift: DriftResult,
    earlier: Sequence[str],
    last: RetrainRequest | None,
    config: PolicyConfig,
    now: datetime,
) -> tuple[bool, str]:
    """Whether to request a retrain, and the reason, from the first rule that applies.

    Args:
        drift: result of the window.
        earlier: verdicts of earlier windows, oldest first.
        last: the last request, None before the first.
        config: thresholds of the policy.
        now: time of the decision.
    """
    if not drift.alarm:
        return False, drift.summary
    if drift.distinct < config.min_sample:
        return False, (
            f"too few images for a retrain request: {drift.distinct} distinct images, "
            f"at least {config.min_sample} required"
        )
    consecutive = _consecutive_alarms([*earlier, drift.verdict])
    if consecutive < config.alarms_in_a_row:
        return False, (
            f"drift is not yet persistent: {consecutive} of {config.alarms_in_a_row} "
            "consecutive alarms"
        )
    age = now - last.time if last is not None else timedelta.max
    if last is not None and last.open and age < timedelta(hours=config.request_expires_hours):
        return False, f"a retrain request is open since {last.time:%Y-%m-%d %H:%M} UTC"
    cool_down = timedelta(hours=config.cool_down_hours)
    if last is not None and age < cool_down:
        return False, (
            f"cool-down until {last.time + cool_down:%Y-%m-%d %H:%M} UTC: the last request was at "
            f"{last.time:%Y-%m-%d %H:%M} UTC"
        )
    return True, f"drift in {drift.distinct} images ({'; '.join(drift.reasons[:3])})"


def _consecutive_alarms(verdicts: Sequence[str]) -> int:
    """Number of alarms since the last quiet window; windows too small to test are ignored."""
    tested = [verdict for verdict in verdicts if verdict != "not_enough"]
    return len(list(takewhile(lambda verdict: verdict == "alarm", reversed(tested))))
