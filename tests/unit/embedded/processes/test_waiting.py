"""The wait tells what it waits for."""

import io

from rich.console import Console

from pipeline.embedded.parts import PARTS
from pipeline.embedded.processes.waiting import until_healthy

TWO = list(PARTS[:2])


def _console() -> Console:
    return Console(file=io.StringIO(), width=100)


def _said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_each_part_is_reported_as_it_comes_up() -> None:
    """Plain lines name what is missing, then what is up."""
    console, asked = _console(), {"mlflow": iter([False, True]), "s3": iter([True])}
    late = until_healthy(TWO, lambda part: next(asked[part.name]), lambda: None, console, 5)
    assert late == []
    lines = _said(console).splitlines()
    assert "waiting for S3 (SeaweedFS) and 1 more" in lines
    assert "waiting for MLflow" in lines
    assert lines[-1].startswith("MLflow is up")


def test_late_parts_are_returned() -> None:
    """After the time is over the parts that never answered are named."""
    late = until_healthy(TWO, lambda part: part.name == "s3", lambda: None, _console(), 0.01)
    assert [part.name for part in late] == ["mlflow"]
