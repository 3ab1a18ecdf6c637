"""`make bench`: measure, print one table, write `benchmarks/results.json`.

`python -m benchmarks serving overload` measures these parts alone.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row
from pipeline.telemetry import configure_process

RESULTS = Path(__file__).parent / "results.json"
PARTS = {
    "preparation": "service.preparation",
    "extraction": "training.extraction",
    "training": "training.cached_activations",
    "retrain": "training.retrain",
    "serving": "service.serving",
    "overload": "service.overload",
    "environment": "service.installed_size",
    "archive": "training.whole_archive",
    "coverage": "statistics.coverage",
}
"""Name on the command line to its module."""


def main(arguments: list[str]) -> None:
    """Measure all or the named parts and show them; `--scoreboard` shows the last results.

    Raises:
        SystemExit: for an unknown part, naming the parts, or without results to show.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", type=_part, help=", ".join(PARTS))
    parser.add_argument("--scoreboard", action="store_true", help="show the last results")
    options = parser.parse_args(arguments)
    configure_process()
    if not options.scoreboard:
        _measure(options.parts or list(PARTS))
    if not RESULTS.is_file():
        sys.exit(f"no results: expected {RESULTS}; run `make bench` first")
    Console().print(_table([Row.model_validate(row) for row in json.loads(RESULTS.read_text())]))


def _part(name: str) -> str:
    """Argument type: a name in `PARTS`, else ArgumentTypeError."""
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"unknown part {name}; expected: {', '.join(PARTS)}")
    return name


def _measure(parts: list[str]) -> None:
    """Measure the parts and write `results.json` after each: an interrupted run keeps its rows."""
    rows: list[dict[str, object]] = []
    for part in parts:
        measured = importlib.import_module(f"benchmarks.{PARTS[part]}").rows()
        rows += [row.model_dump() for row in measured]
        RESULTS.write_text(json.dumps(rows, indent=2) + "\n")


def _table(rows: list[Row]) -> Table:
    table = Table("name", "value", "low to high", "unit", "baseline")
    for row in rows:
        # A single measurement has no interval.
        interval = f"{row.low:.2f} to {row.high:.2f}" if row.low < row.high else ""
        table.add_row(row.name, f"{row.value:.2f}", interval, row.unit, row.baseline)
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
