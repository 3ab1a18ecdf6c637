"""Coverage of the 95 % intervals: `python -m benchmarks coverage`.

A row has the mean, minimum and maximum coverage over all accuracies and correlations between images
of one cell; its baseline is the percentile bootstrap.
`python -m benchmarks.statistics.coverage [--runs N]` prints every combination.
"""

import argparse
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row
from benchmarks.statistics.gate_errors import LOCKED
from benchmarks.statistics.simulated_cells import (
    Estimate,
    Population,
    estimate_auroc,
    estimate_scores,
)
from pipeline.statistics.groups import Floats
from pipeline.statistics.intervals import Interval

CELLS = (2, 4, 16, 50)
"""Number of cells of each of four classes; for an AUROC, of each set."""
ACCURACIES = (0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
CORRELATIONS = (0.4, 1.0)
RUNS = 100

Draw = Callable[[Population, np.random.Generator], Mapping[str, Estimate]]


def coverage(population: Population, draw: Draw, runs: int) -> dict[str, Floats]:
    """Coverage and mean width of the interval, then of the bootstrap's, by name of the metric."""
    rng = np.random.default_rng(0)
    estimates = [draw(population, rng) for _ in range(runs)]
    names = dict.fromkeys(name for estimate in estimates for name in estimate)
    return {
        name: np.mean(
            [
                [
                    *_covers(estimate[name].interval, estimate[name].truth),
                    *_covers(estimate[name].bootstrap, estimate[name].truth),
                ]
                for estimate in estimates
                if name in estimate
            ],
            axis=0,
        )
        for name in names
    }


def combinations() -> list[tuple[str, Population, Draw]]:
    """Every simulated population, with its size in words and how its metrics are drawn."""
    locked = tuple(one.cells for one in LOCKED.values())
    accuracies = tuple(one.sensitivity for one in LOCKED.values())
    combined: list[tuple[str, Population, Draw]] = []
    for cells, accuracy, rho in product(CELLS, ACCURACIES, CORRELATIONS):
        size = f"{cells} cells per class"
        four, two = (Population((cells,) * n, (accuracy,) * n, rho) for n in (4, 2))
        combined += [(size, four, estimate_scores), (size, two, estimate_auroc)]
    for rho in CORRELATIONS:
        population = Population(locked, accuracies, rho)
        combined.append(("locked part of blood_cells.zip", population, estimate_scores))
    return combined


def rows(runs: int = RUNS) -> list[Row]:
    """A row for each metric and size."""
    by_key: dict[tuple[str, str], list[Floats]] = {}
    for size, population, draw in combinations():
        for name, values in coverage(population, draw, runs).items():
            by_key.setdefault((name, size), []).append(values)
    return [_row(*key, np.array(by_key[key])) for key in sorted(by_key, key=lambda key: key[0])]


def _row(name: str, size: str, values: Floats) -> Row:
    """Mean, minimum and maximum coverage; columns of `values` as returned by `coverage`."""
    share, width, bootstrap, bootstrap_width = values.T
    return Row(
        name=f"coverage, {name}, {size}",
        value=float(share.mean()),
        low=float(share.min()),
        high=float(share.max()),
        unit=f"width {width.mean():.2f}",
        baseline=f"bootstrap: {bootstrap.mean():.2f}, width {bootstrap_width.mean():.2f}",
    )


def _covers(interval: Interval, truth: float) -> tuple[bool, float]:
    """Whether an interval contains the true value, up to rounding, and its width."""
    return interval.low - 1e-9 <= truth <= interval.high + 1e-9, interval.high - interval.low


def main() -> None:
    """Print coverage and width of every combination."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="draws per combination")
    runs = parser.parse_args().runs
    table = Table("metric", "cells", "accuracy", "correlation", "coverage", "width", "bootstrap")
    for size, population, draw in combinations():
        for name, (share, width, bootstrap, narrow) in coverage(population, draw, runs).items():
            table.add_row(
                name,
                size,
                f"{np.mean(population.accuracy):.2f}",
                f"{population.correlation:g}",
                f"{share:.3f}",
                f"{width:.2f} ({narrow:.2f})",
                f"{bootstrap:.3f}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
