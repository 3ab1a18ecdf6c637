"""When an answer means that a part does its work."""

from pipeline.embedded.processes.health import beats

_BEAT = "2026-11-22T19:45:00+00:00"
_AT = 1795376700.0  # the same moment


def _report(status: str = "healthy", beat: str | None = _BEAT) -> dict[str, object]:
    return {"scheduler": {"status": status, "latest_scheduler_heartbeat": beat}}


def test_heartbeat_of_this_start_counts() -> None:
    """A beat after the start is a sign of life."""
    assert beats(_report(), "scheduler", _AT - 1)


def test_heartbeat_of_the_start_before_does_not_count() -> None:
    """Airflow calls a scheduler healthy for half a minute after its death; we do not."""
    assert not beats(_report(), "scheduler", _AT + 1)


def test_missing_or_late_heartbeat_is_unhealthy() -> None:
    """No beat yet, a late one, or a component that is not in the report."""
    assert not beats(_report(beat=None), "scheduler", 0.0)
    assert not beats(_report(status="unhealthy"), "scheduler", 0.0)
    assert not beats({}, "triggerer", 0.0)
