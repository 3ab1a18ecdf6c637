"""What the supervisor's output tells."""

from pathlib import Path

from pipeline.embedded.processes.supervisor import first_stopped, into_log

_STARTED = "19:42:48 system | s3 started (pid=7)\n19:42:48 system | mlflow started (pid=8)\n"


def test_first_part_that_stopped_is_the_cause() -> None:
    """The parts that honcho ends afterwards are not blamed."""
    output = _STARTED + (
        "19:45:44 system | mlflow stopped (rc=-9)\n19:45:46 system | s3 stopped (rc=0)\n"
    )
    assert first_stopped(output) == ("mlflow", -9)


def test_running_stack_has_no_cause() -> None:
    """Started is not stopped."""
    assert first_stopped(_STARTED) is None


def test_asking_to_stop_is_no_failure() -> None:
    """Parts that end after a signal to the supervisor did not fail."""
    output = _STARTED + "19:50:00 system | SIGTERM received\n19:50:01 system | s3 stopped (rc=0)\n"
    assert first_stopped(output) is None


def test_part_becomes_its_process() -> None:
    """The shell gives way to the part, so that the part's death is seen at once."""
    line = into_log("weed mini", Path("/some where/s3.log"))
    assert line == "exec >>'/some where/s3.log' 2>&1; exec weed mini"
