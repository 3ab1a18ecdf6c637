"""Status and failure of a stack that is not running."""

from pathlib import Path

from pipeline.embedded import stack
from pipeline.settings import Settings


def test_everything_is_down_before_the_first_start(tmp_path: Path) -> None:
    """Without processes every part is down, and no health check is made."""
    states = stack.status(Settings(leukoflow_home=tmp_path))
    assert {one.state for one in states} == {"down"}
    assert states[0].log == tmp_path / "logs" / "s3.log"


def test_part_that_ended_the_stack_is_named_with_its_log(tmp_path: Path) -> None:
    """One line names the part, its return code and its log."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "supervisor.log").write_text("system | mlflow stopped (rc=1)\n")
    line = stack.failure(Settings(leukoflow_home=tmp_path))
    assert line == f"mlflow stopped with code 1; see {tmp_path}/logs/mlflow.log"


def test_down_without_a_stack_stops_nothing(tmp_path: Path) -> None:
    """`down` without a stack is no error, even with a stale process id."""
    (tmp_path / "supervisor.pid").write_text("1")
    assert stack.down(Settings(leukoflow_home=tmp_path)) == 0
