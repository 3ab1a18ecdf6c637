"""Error rates of the calibration check on 53 cells.

`python -m benchmarks.statistics.calibration_errors [--runs N]` prints them.

The images of a cell share a confidence; the share of correct predictions of the cell is drawn
around it. The model is calibrated over many cells, not on each cell. Raising the odds to a power
makes it overconfident.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.statistics.gate_errors import CONFIG, LOCKED
from pipeline.config.run_config import load_config
from pipeline.statistics.calibration import calibration_error, calibration_interval
from pipeline.statistics.groups import Floats, Ints
from pipeline.statistics.intervals import Interval, Resamples

POWERS = (1.0, 1.3, 1.6, 2.0, 3.0)
MEAN, SPREAD, JITTER, SHARPNESS = 2.5, 1.3, 0.7, 2.0
"""Logit of the confidence: mean, standard deviation over cells and over images; sharpness of the
beta distribution of a cell's share of correct predictions."""


def draw_predictions(
    power: float, factor: int, rng: np.random.Generator
) -> tuple[Floats, Ints, Ints, Ints]:
    """Draw confidence, correctness, cell and class of each image of one locked part."""
    columns, first = [], 0
    for index, one in enumerate(LOCKED.values()):
        cells = one.cells * factor
        logits = rng.normal(MEAN, SPREAD, (cells, 1)) + rng.normal(0, JITTER, (cells, one.copies))
        calibrated = 1 / (1 + np.exp(-logits))
        mean = calibrated.mean(axis=1, keepdims=True)
        shift = rng.beta(SHARPNESS * mean, SHARPNESS * (1 - mean)) - mean
        correct = rng.random(calibrated.shape) < np.clip(calibrated + shift, 0, 1)
        codes = np.repeat(np.arange(first, first + cells), one.copies)
        confidence = 1 / (1 + np.exp(-power * logits))
        columns.append((confidence.ravel(), correct.ravel(), codes, np.full(codes.shape, index)))
        first += cells
    confidence, correct, codes, strata = (np.concatenate(x) for x in zip(*columns, strict=True))
    return confidence, correct, codes, strata


def measure(power: float, rng: np.random.Generator) -> Interval:
    """Draw one locked part; its calibration error with interval, as the gate computes it."""
    confidence, correct, codes, strata = draw_predictions(power, 1, rng)
    resamples = Resamples(codes, strata, draws=500, seed=int(rng.integers(2**31)))
    weights = 1 / np.bincount(codes)[codes]
    return calibration_interval(confidence, correct.astype(bool), weights, resamples)


def refusals(runs: int, bound: float) -> Table:
    """True error, mean measured error, and the share refused by value and by lower bound."""
    table = Table("true error", "measured", "refused by value", "refused by lower bound")
    for power in POWERS:
        rng = np.random.default_rng(0)
        confidence, correct, *_ = draw_predictions(power, 200, rng)
        errors = [measure(power, rng) for _ in range(runs)]
        table.add_row(
            f"{calibration_error(confidence, correct.astype(bool)):.3f}",
            f"{np.mean([one.value for one in errors]):.3f}",
            f"{np.mean([one.value > bound for one in errors]):.0%}",
            f"{np.mean([one.low > bound for one in errors]):.0%}",
        )
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="models per row")
    bound = load_config(CONFIG).gate.max_calibration_error
    Console().print(refusals(parser.parse_args().runs, bound))


if __name__ == "__main__":
    main()
