"""Airflow heartbeats in the health check."""

from pipeline.embedded.processes.health import sent_heartbeat

_HEARTBEAT = "2026-11-22T19:45:00+00:00"
_AT = 1795376700.0  # the same moment


def _report(status: str = "healthy", heartbeat: str | None = _HEARTBEAT) -> dict[str, object]:
    return {"scheduler": {"status": status, "latest_scheduler_heartbeat": heartbeat}}


def test_heartbeat_of_this_start_counts() -> None:
    """A heartbeat after the start counts."""
    assert sent_heartbeat(_report(), "scheduler", _AT - 1)


def test_heartbeat_of_the_start_before_does_not_count() -> None:
    """Airflow reports a scheduler as healthy for half a minute after it ended; we do not."""
    assert not sent_heartbeat(_report(), "scheduler", _AT + 1)


def test_missing_or_late_heartbeat_is_unhealthy() -> None:
    """No heartbeat, a late one, or a component that is not in the report."""
    assert not sent_heartbeat(_report(heartbeat=None), "scheduler", 0.0)
    assert not sent_heartbeat(_report(status="unhealthy"), "scheduler", 0.0)
    assert not sent_heartbeat({}, "triggerer", 0.0)
