"""When drift becomes a request to retrain. Pure: what is known goes in, a decision comes out."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from monitoring.config import PolicyConfig
from monitoring.drift.result import DriftResult
from pipeline.records import Frozen


class RetrainRequest(Frozen):
    """`retrain/<name>/open.json`: the last request, open until its training run has ended."""

    sequence: int
    """Grows by one with each change, so that a return to earlier words is noticed."""
    window: str
    """URI of the window that caused it."""
    reason: str
    time: datetime
    run_id: str
    outcome: str = ""
    """How the training ended; empty while the request is open."""

    @property
    def open(self) -> bool:
        """Whether its training has not ended yet."""
        return not self.outcome


class RetrainDecision(Frozen):
    """What was decided on one window, and why."""

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
    """Whether to ask for a retrain, and the first reason that settles it.

    Args:
        drift: verdict on the window.
        earlier: verdicts on the windows before it, oldest first.
        last: the last request, if any.
        config: the policy.
        now: time of the decision.
    """
    row = _alarms_in_a_row([*earlier, drift.verdict])
    if not drift.alarm:
        return False, f"no alarm: {'; '.join(drift.reasons)}"
    if drift.distinct < config.min_sample:
        return False, f"sample too small: {drift.distinct} images of {config.min_sample}"
    if row < config.alarms_in_a_row:
        return False, f"not yet persistent: {row} alarms in a row of {config.alarms_in_a_row}"
    age = now - last.time if last is not None else timedelta.max
    if last is not None and last.open and age < timedelta(hours=config.request_expires_hours):
        return False, f"a request is open since {last.time:%Y-%m-%d %H:%M} UTC"
    cool_down = timedelta(hours=config.cool_down_hours)
    if last is not None and age < cool_down:
        return False, (
            f"cool-down until {last.time + cool_down:%Y-%m-%d %H:%M} UTC: the last request was at "
            f"{last.time:%Y-%m-%d %H:%M} UTC"
        )
    return True, f"drift on {drift.distinct} images: {'; '.join(drift.reasons[:3])}"


def _alarms_in_a_row(verdicts: Sequence[str]) -> int:
    """Alarms at the end of the row; windows that were too small to test are passed over."""
    row = 0
    for verdict in reversed([v for v in verdicts if v != "not_enough"]):
        if verdict != "alarm":
            break
        row += 1
    return row
