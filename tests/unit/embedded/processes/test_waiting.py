"""Progress lines while waiting for healthy parts."""

import io

from rich.console import Console

from pipeline.embedded.parts import PARTS
from pipeline.embedded.processes.waiting import until_healthy

TWO = list(PARTS[:2])


def _console() -> Console:
    return Console(file=io.StringIO(), width=100)


def _printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_part_is_reported_as_it_comes_up() -> None:
    """Plain lines name the missing parts, then each part that is up."""
    console, health = _console(), {"mlflow": iter([False, True]), "s3": iter([True])}
    late = until_healthy(TWO, lambda part: next(health[part.name]), lambda: None, console, 5)
    assert late == []
    lines = _printed(console).splitlines()
    assert "waiting for S3 (SeaweedFS) and 1 more" in lines
    assert "waiting for MLflow" in lines
    assert lines[-1].startswith("MLflow is up")


def test_late_parts_are_returned() -> None:
    """Parts that are not healthy at the timeout are returned."""
    late = until_healthy(TWO, lambda part: part.name == "s3", lambda: None, _console(), 0.01)
    assert [part.name for part in late] == ["mlflow"]
