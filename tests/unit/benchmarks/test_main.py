"""The command line of the benchmarks and its table."""

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as benchmarks
from benchmarks.measure import range_row, single_row


def test_a_single_measurement_shows_no_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An interval without width would look like certainty."""
    rows = [
        single_row("size", 12.5, "MB", ""),
        range_row("latency", np.array([3.0, 4.0, 9.0]), "ms", ""),
    ]
    results = tmp_path / "results.json"
    results.write_text(json.dumps([row.model_dump() for row in rows]))
    monkeypatch.setattr(benchmarks, "RESULTS", results)
    benchmarks.main(["--scoreboard"])
    table = capsys.readouterr().out
    assert "12.50 to" not in table
    assert "3.00 to 9.00" in table


def test_an_unknown_part_is_refused_with_the_list_of_parts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error names the part and every valid one; nothing is measured."""
    with pytest.raises(SystemExit) as refused:
        benchmarks.main(["servng"])
    assert refused.value.code == 2
    message = capsys.readouterr().err
    assert "servng" in message
    assert all(part in message for part in benchmarks.PARTS)


@pytest.mark.parametrize("part", benchmarks.PARTS)
def test_every_part_is_a_module_with_rows(part: str) -> None:
    """`python -m benchmarks PART` calls its function `rows`."""
    path = Path(benchmarks.__file__).parent / f"{benchmarks.PARTS[part].replace('.', '/')}.py"
    functions = (n.name for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef))
    assert "rows" in functions
