"""Error rates of the gate at its margins: `python -m benchmarks.statistics.gate_errors [--runs N]`.

Two models predict images of held-out cells. The logit of the share of correct predictions of a cell
is normal with standard deviation `SPREAD` over cells and correlation `AGREEMENT` between models.
Both were fitted to out-of-fold predictions of linear heads on VGG16 features of blood_cells.zip:
the correlation was 0.75 to 0.83 for training sets of different 80 % of the cells, and 0.56 to 0.92
for another input scale.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq

from pipeline.config.promotion_gate_limits import GateConfig
from pipeline.config.run_config import load_config
from pipeline.statistics.groups import Floats
from pipeline.statistics.intervals import Interval, Resamples, percentile_interval
from pipeline.statistics.paired_comparison import Differences, PairedPredictions, paired_differences

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "blood_cells.yaml"
DEMO_CONFIG = CONFIG.with_name("demo.yaml")
SPREAD, AGREEMENT = 1.8, 0.8


@dataclass(frozen=True)
class LockedClass:
    """One class of the locked part of an archive."""

    cells: int
    copies: int
    """Number of images of each cell."""
    sensitivity: float
    """True sensitivity of the champion."""


LOCKED = {
    "eosinophil": LockedClass(15, 33, 0.90),
    "lymphocyte": LockedClass(5, 92, 0.97),
    "monocyte": LockedClass(3, 155, 0.80),
    "neutrophil": LockedClass(30, 16, 0.93),
}
DRAWN = {
    name: LockedClass(4, 4, 0.97) for name in ("eosinophil", "lymphocyte", "monocyte", "neutrophil")
}
"""The locked part of the demo's drawn cells."""
SCENARIOS: Mapping[str, Mapping[str, float]] = {
    "2 points better in every class": dict.fromkeys(LOCKED, 0.02),
    "equal": {},
    "5 points worse in every class": dict.fromkeys(LOCKED, -0.05),
    "10 points worse in every class": dict.fromkeys(LOCKED, -0.10),
    "monocytes 25 points worse": {"monocyte": -0.25},
    "monocytes 50 points worse": {"monocyte": -0.50},
    "lymphocytes 25 points worse": {"lymphocyte": -0.25},
    "eosinophils 25 points worse": {"eosinophil": -0.25},
}
MARGINS = ((0.03, 0.15), (0.05, 0.25), (0.08, 0.30), (0.10, 0.40))
"""Margins of balanced accuracy and of each class."""


def draw_predictions(
    part: Mapping[str, LockedClass],
    change: Mapping[str, float],
    factor: int,
    rng: np.random.Generator,
) -> PairedPredictions:
    """Draw the predictions of champion and challenger on one locked part; -1 is a wrong class.

    Args:
        part: classes of the locked part.
        change: the challenger's true sensitivity minus the champion's, by class.
        factor: multiple of the number of locked cells.
        rng: source of cells and predictions.
    """
    columns, first = [], 0
    for index, (name, locked) in enumerate(part.items()):
        cells = locked.cells * factor
        hard, own = rng.normal(size=(2, cells))
        other = AGREEMENT * hard + np.sqrt(1 - AGREEMENT**2) * own
        accuracies = (locked.sensitivity, min(locked.sensitivity + change.get(name, 0.0), 0.999))
        champion, challenger = (
            rng.random((cells, locked.copies))
            < _logistic(_centre(accuracy) + SPREAD * latent)[:, None]
            for accuracy, latent in zip(accuracies, (hard, other), strict=True)
        )
        truth = np.full(cells * locked.copies, index)
        codes = np.repeat(np.arange(first, first + cells), locked.copies)
        new, old = (np.where(correct.ravel(), index, -1) for correct in (challenger, champion))
        columns.append((truth, new, old, codes))
        first += cells
    truth, new, old, codes = (np.concatenate(column) for column in zip(*columns, strict=True))
    return PairedPredictions(truth, new, old, groups=codes, cells=codes)


def compare(
    part: Mapping[str, LockedClass],
    change: Mapping[str, float],
    factor: int,
    rng: np.random.Generator,
) -> Differences:
    """Paired differences of two models on one locked part; arguments of `draw_predictions`."""
    drawn = draw_predictions(part, change, factor, rng)
    return paired_differences(drawn, draws=500, seed=int(rng.integers(2**31)))


def passes(
    differences: Differences, margin: float, class_margin: float, low: str = "resampled_low"
) -> bool:
    """Whether no lower bound is below its margin: the gate's rule.

    Args:
        differences: of balanced accuracy and of each class.
        margin: allowed loss of balanced accuracy.
        class_margin: allowed loss of each class.
        low: `resampled_low` (the gate's lower bound) or `low` (95 % coverage at the boundary).
    """
    by_class = (getattr(one, low) for one in differences.by_class.values())
    overall = getattr(differences.overall, low)
    return overall >= -margin and all(bound >= -class_margin for bound in by_class)


class Scored(NamedTuple):
    """The challenger's metrics, as an evaluation reports them."""

    overall: Interval
    """Balanced accuracy."""
    bootstrap: Interval
    """Balanced accuracy by the percentile bootstrap."""
    by_class: tuple[Interval, ...]


def first_models(runs: int, config: GateConfig) -> Table:
    """Share of first models that pass the floors, by true balanced accuracy."""
    table = Table("first model, true value", "passes", "by bootstrap", "lower bound", "width")
    accuracy = float(np.mean([one.sensitivity for one in LOCKED.values()]))
    for change in (0.02, 0.0, -0.04, -0.08, -0.12, -0.16, -0.20):
        rng = np.random.default_rng(0)
        shift = dict.fromkeys(LOCKED, change)
        scored = [_score(draw_predictions(LOCKED, shift, 1, rng), rng) for _ in range(runs)]
        passed = np.mean([_passes_first(one.overall, one.by_class, config) for one in scored])
        bootstrap = np.mean([_passes_first(one.bootstrap, one.by_class, config) for one in scored])
        low = np.mean([one.overall.low for one in scored])
        width = np.mean([one.overall.high - one.overall.low for one in scored])
        shares = (f"{passed:.0%}", f"{bootstrap:.0%}")
        table.add_row(f"{accuracy + change:.2f}", *shares, f"{low:.2f}", f"{width:.2f}")
    return table


def _score(drawn: PairedPredictions, rng: np.random.Generator) -> Scored:
    """Balanced accuracy and sensitivities of the challenger, with intervals."""
    of_class = np.eye(len(LOCKED))[drawn.truth]
    correct = of_class * (drawn.challenger == drawn.truth)[:, None]
    balanced = of_class @ (1 / of_class.sum(axis=0))
    seed = int(rng.integers(2**31))
    resamples = Resamples(drawn.groups, drawn.truth, draws=500, seed=seed)
    intervals = resamples.shares(
        np.column_stack([balanced * correct.sum(axis=1), correct]),
        np.column_stack([balanced, of_class]),
    )
    overall, *by_class = (interval for interval in intervals if interval is not None)
    samples = (resamples.sums(correct) / resamples.sums(of_class)).mean(axis=1)
    return Scored(overall, percentile_interval(overall.value, samples), tuple(by_class))


def _passes_first(overall: Interval, by_class: Sequence[Interval], config: GateConfig) -> bool:
    """Whether a first model, which has no champion, passes the gate's floors."""
    return (
        all(one.value >= config.min_class_sensitivity for one in by_class)
        and overall.value >= config.min_balanced_accuracy
        and overall.low >= config.first_min_low
    )


def challengers(
    part: Mapping[str, LockedClass], runs: int, factor: int, config: GateConfig
) -> Table:
    """Share of challengers that pass, by true difference and margins."""
    cells = sum(one.cells for one in part.values()) * factor
    chosen = (config.max_loss, config.max_class_loss)
    margins = (*(pair for pair in MARGINS if pair != chosen), chosen)
    headings = [f"{margin:g} / {class_margin:g}" for margin, class_margin in margins]
    headings += [f"{headings[-1]}, {rule}" for rule in ("by 95 % interval", "no cell differs")]
    table = Table("challenger, true value", title=f"Challengers that pass, {cells} locked cells")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, change in SCENARIOS.items():
        rng = np.random.default_rng(0)
        drawn = [compare(part, change, factor, rng) for _ in range(runs)]
        shares = [np.mean([passes(one, *pair) for one in drawn]) for pair in margins]
        shares.append(np.mean([passes(one, *chosen, low="low") for one in drawn]))
        shares.append(np.mean([one.overall.differing == 0 for one in drawn]))
        table.add_row(name, *(f"{share:.0%}" for share in shares))
    return table


@cache
def _centre(mean: float) -> float:
    """Mean logit over cells for which the mean accuracy over cells is `mean`."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def error(centre: float) -> float:
        return float(weights @ _logistic(centre + SPREAD * nodes) / weights.sum()) - mean

    return float(brentq(error, -15, 15))


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="challengers per row")
    runs = parser.parse_args().runs
    config = load_config(CONFIG).gate
    for factor in (1, 4):
        Console().print(challengers(LOCKED, runs, factor, config))
    Console().print(challengers(DRAWN, runs, 1, load_config(DEMO_CONFIG).gate))
    Console().print(first_models(runs, config))


if __name__ == "__main__":
    main()
