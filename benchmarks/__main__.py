"""`make bench`: measure, print one table, write `benchmarks/results.json`.

`python -m benchmarks serving overload` measures these parts alone.
"""

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
    """Measure anew, all parts or those that are named; or show the last results."""
    configure_process()
    if "--scoreboard" not in arguments:
        body: list[dict[str, object]] = []
        for part in arguments or PARTS:
            rows = importlib.import_module(f"benchmarks.{PARTS[part]}").rows()
            body += [row.model_dump() for row in rows]
            RESULTS.write_text(json.dumps(body, indent=2) + "\n")
    if not RESULTS.is_file():
        sys.exit(f"no results yet: expected {RESULTS}, which `make bench` writes")
    Console().print(_table([Row.model_validate(row) for row in json.loads(RESULTS.read_text())]))


def _table(rows: list[Row]) -> Table:
    shown = Table("name", "value", "low to high", "unit", "baseline")
    for row in rows:
        # What was measured once has no interval.
        ends = f"{row.low:.2f} to {row.high:.2f}" if row.low < row.high else ""
        shown.add_row(row.name, f"{row.value:.2f}", ends, row.unit, row.baseline)
    return shown


if __name__ == "__main__":
    main(sys.argv[1:])
