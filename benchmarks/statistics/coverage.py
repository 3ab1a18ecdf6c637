"""How often a 95 % interval holds the truth: `python -m benchmarks coverage`.

A row has the coverage over all accuracies and correlations between images of one cell, with that of
the worst and the best combination, and beside it that of the percentile bootstrap alone.
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
from benchmarks.statistics.simulated import Found, World, classified, separated
from pipeline.statistics.metrics import Floats, Interval

CELLS = (2, 4, 16, 50)
"""Of each of four classes; of each crowd where an AUROC is measured."""
ACCURACIES = (0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
CORRELATIONS = (0.4, 1.0)
RUNS = 100

Drawing = Callable[[World, np.random.Generator], Mapping[str, Found]]


def covered(world: World, drawing: Drawing, runs: int) -> dict[str, Floats]:
    """Coverage and mean width of ours, then of the bootstrap alone, by figure."""
    rng = np.random.default_rng(0)
    drawn = [drawing(world, rng) for _ in range(runs)]
    names = dict.fromkeys(name for found in drawn for name in found)
    return {
        name: np.mean(
            [
                [
                    *_judged(one[name].ours, one[name].truth),
                    *_judged(one[name].bootstrap, one[name].truth),
                ]
                for one in drawn
                if name in one
            ],
            axis=0,
        )
        for name in names
    }


def combinations() -> list[tuple[str, World, Drawing]]:
    """Every simulated world with its size in words."""
    locked = tuple(one.cells for one in LOCKED.values())
    aims = tuple(one.sensitivity for one in LOCKED.values())
    worlds: list[tuple[str, World, Drawing]] = []
    for cells, accuracy, rho in product(CELLS, ACCURACIES, CORRELATIONS):
        size = f"{cells} cells a class"
        four = World((cells,) * 4, (accuracy,) * 4, rho)
        worlds.append((size, four, classified))
        worlds.append((size, World((cells,) * 2, (accuracy,) * 2, rho), separated))
    for rho in CORRELATIONS:
        worlds.append(("locked part of blood_cells.zip", World(locked, aims, rho), classified))
    return worlds


def rows(runs: int = RUNS) -> list[Row]:
    """For each figure and size the coverage over accuracies and correlations."""
    found: dict[tuple[str, str], list[Floats]] = {}
    for size, world, drawing in combinations():
        for name, one in covered(world, drawing, runs).items():
            found.setdefault((name, size), []).append(one)
    return [_row(*key, np.array(found[key])) for key in sorted(found, key=lambda key: key[0])]


def _row(name: str, size: str, found: Floats) -> Row:
    """Coverage: mean, least and most of the combinations; columns are as `covered` has them."""
    ours, width, alone, narrow = found.T
    return Row(
        name=f"coverage, {name}, {size}",
        value=float(ours.mean()),
        low=float(ours.min()),
        high=float(ours.max()),
        unit=f"width {width.mean():.2f}",
        baseline=f"bootstrap alone: {alone.mean():.2f}, width {narrow.mean():.2f}",
    )


def _judged(found: Interval, truth: float) -> tuple[bool, float]:
    """Whether an interval holds the truth, up to rounding, and how wide it is."""
    return found.low - 1e-9 <= truth <= found.high + 1e-9, found.high - found.low


def main() -> None:
    """Print coverage and width of every combination."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help="drawings per combination")
    runs = parser.parse_args().runs
    shown = Table("figure", "cells", "accuracy", "correlation", "coverage", "width", "bootstrap")
    for size, world, drawing in combinations():
        for name, found in covered(world, drawing, runs).items():
            ours, alone = (f"{found[at]:.3f}" for at in (0, 2))
            aim = f"{np.mean(world.accuracy):.2f}"
            width = f"{found[1]:.2f} ({found[3]:.2f})"
            shown.add_row(name, size, aim, f"{world.correlation:g}", ours, width, alone)
    Console().print(shown)


if __name__ == "__main__":
    main()
