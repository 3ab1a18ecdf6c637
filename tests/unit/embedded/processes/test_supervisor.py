"""Cause of a stop, read from the supervisor's output."""

from pathlib import Path

from pipeline.embedded.processes.supervisor import first_stopped, redirected

_STARTED = "19:42:48 system | s3 started (pid=7)\n19:42:48 system | mlflow started (pid=8)\n"


def test_first_part_that_stopped_is_the_cause() -> None:
    """Parts that honcho stops afterwards are not the cause."""
    output = _STARTED + (
        "19:45:44 system | mlflow stopped (rc=-9)\n19:45:46 system | s3 stopped (rc=0)\n"
    )
    assert first_stopped(output) == ("mlflow", -9)


def test_running_stack_has_no_cause() -> None:
    """Lines about started parts are no cause."""
    assert first_stopped(_STARTED) is None


def test_a_signal_to_the_supervisor_is_no_failure() -> None:
    """Parts that stop after a signal to the supervisor did not fail."""
    output = _STARTED + "19:50:00 system | SIGTERM received\n19:50:01 system | s3 stopped (rc=0)\n"
    assert first_stopped(output) is None


def test_the_shell_becomes_the_part() -> None:
    """The shell `exec`s the part, so that honcho sees at once when it ends."""
    line = redirected("weed mini", Path("/some where/s3.log"))
    assert line == "exec >>'/some where/s3.log' 2>&1; exec weed mini"
