"""What 53 cells say of calibration.

`python -m benchmarks.statistics.calibration_errors [--runs N]` prints it.

Each cell has a confidence that its copies share, and the share of its copies that is right is drawn
around it, so that the model is calibrated over many cells and far from it on any one. Raising the
odds to a power makes it overconfident.
"""

import argparse

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.statistics.gate_errors import CONFIG, LOCKED
from pipeline.config import load_config
from pipeline.statistics.calibration import calibration_error, calibration_interval
from pipeline.statistics.intervals import Resamples
from pipeline.statistics.metrics import Floats, Interval, Ints

POWERS = (1.0, 1.3, 1.6, 2.0, 3.0)
SURE, SPREAD, JITTER, TRUST = 2.5, 1.3, 0.7, 2.0
"""Logit of the confidence: mean, deviation over cells and over copies; sharpness of the shares."""


def answers(power: float, more: int, rng: np.random.Generator) -> tuple[Floats, Ints, Ints, Ints]:
    """Confidence, rightness, cell and class of each image of one locked part."""
    columns, first = [], 0
    for place, one in enumerate(LOCKED.values()):
        cells = one.cells * more
        logits = rng.normal(SURE, SPREAD, (cells, 1)) + rng.normal(0, JITTER, (cells, one.copies))
        honest = 1 / (1 + np.exp(-logits))
        mean = honest.mean(axis=1, keepdims=True)
        shift = rng.beta(TRUST * mean, TRUST * (1 - mean)) - mean
        right = rng.random(honest.shape) < np.clip(honest + shift, 0, 1)
        codes = np.repeat(np.arange(first, first + cells), one.copies)
        told = 1 / (1 + np.exp(-power * logits))
        columns.append((told.ravel(), right.ravel(), codes, np.full(codes.shape, place)))
        first += cells
    confidence, right, codes, strata = (np.concatenate(x) for x in zip(*columns, strict=True))
    return confidence, right, codes, strata


def measured(power: float, rng: np.random.Generator) -> Interval:
    """The calibration error of one locked part whose cells count alike, as the gate judges it."""
    confidence, right, codes, strata = answers(power, 1, rng)
    resamples = Resamples(codes, strata, draws=500, seed=int(rng.integers(2**31)))
    weights = 1 / np.bincount(codes)[codes]
    return calibration_interval(confidence, right.astype(bool), weights, resamples)


def table(runs: int, bound: float) -> Table:
    """True error, mean of what is measured, and the share refused by value and by low end."""
    shown = Table("true error", "measured", "refused by value", "refused by low end")
    for power in POWERS:
        rng = np.random.default_rng(0)
        many, right, *_ = answers(power, 200, rng)
        found = [measured(power, rng) for _ in range(runs)]
        shown.add_row(
            f"{calibration_error(many, right.astype(bool)):.3f}",
            f"{np.mean([one.value for one in found]):.3f}",
            f"{np.mean([one.value > bound for one in found]):.0%}",
            f"{np.mean([one.low > bound for one in found]):.0%}",
        )
    return shown


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="models per row")
    bound = load_config(CONFIG).gate.max_calibration_error
    Console().print(table(parser.parse_args().runs, bound))


if __name__ == "__main__":
    main()
