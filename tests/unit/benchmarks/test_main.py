"""The table of all benchmarks."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.measure import figure, spread


def test_what_was_measured_once_shows_no_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its low and high end are itself; printed as an interval they would look like certainty."""
    rows = [figure("size", 12.5, "MB", ""), spread("latency", np.array([3.0, 4.0, 9.0]), "ms", "")]
    results = tmp_path / "results.json"
    results.write_text(json.dumps([row.model_dump() for row in rows]))
    monkeypatch.setattr(benchmarks, "RESULTS", results)
    benchmarks.main(["--scoreboard"])
    shown = capsys.readouterr().out
    assert "12.50 to" not in shown
    assert "3.00 to 9.00" in shown
