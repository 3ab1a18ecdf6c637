"""How often the gate errs at its margins: `python -m benchmarks.gate_errors [--runs N]`.

Two models answer the copies of held-out cells. Cells differ in how hard they are, models agree on
most of that: the logit of the share of a cell's copies that is right is normal with deviation
`SPREAD` over cells, correlated by `AGREEMENT` between models. Both were fitted to the out-of-fold
answers of linear heads on VGG16 features of blood_cells.zip: trained on different 80 % of the same
cells they agreed by 0.75 to 0.83, with another input scale by 0.56 to 0.92.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq

from pipeline.config import GateConfig, load_config
from pipeline.modeling.metrics import Floats, Ints
from pipeline.modeling.paired import Differences, paired_differences

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "blood_cells.yaml"
SPREAD, AGREEMENT = 1.8, 0.8


@dataclass(frozen=True)
class Class:
    """One class of the locked part of blood_cells.zip."""

    cells: int
    copies: int
    """Images of each cell."""
    sensitivity: float
    """The champion's, in truth."""


LOCKED = {
    "eosinophil": Class(15, 33, 0.90),
    "lymphocyte": Class(5, 92, 0.97),
    "monocyte": Class(3, 155, 0.80),
    "neutrophil": Class(30, 16, 0.93),
}
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
"""Of balanced accuracy and of each class."""


def compare(
    change: Mapping[str, float], more: int, rng: np.random.Generator, *, alone: bool = False
) -> Differences:
    """One locked part and two models, the challenger's true sensitivities changed.

    Args:
        change: of the challenger's sensitivity, by class.
        more: how many times as many locked cells.
        rng: source of cells and answers.
        alone: compared with nobody; a difference from never right is the sensitivity itself.
    """
    truth: list[Ints] = []
    champion: list[Ints] = []
    challenger: list[Ints] = []
    codes: list[Ints] = []
    first = 0
    for place, (name, one) in enumerate(LOCKED.items()):
        cells = one.cells * more
        hard, own = rng.normal(size=(2, cells))
        other = AGREEMENT * hard + np.sqrt(1 - AGREEMENT**2) * own
        for answers, latent, aim in (
            (champion, hard, one.sensitivity),
            (challenger, other, one.sensitivity + change.get(name, 0.0)),
        ):
            share = _logistic(_centre(aim) + SPREAD * latent)
            right = rng.random((cells, one.copies)) < share[:, None]
            answers.append(np.where(right, place, -1).ravel())
        truth.append(np.full(cells * one.copies, place))
        codes.append(np.repeat(np.arange(first, first + cells), one.copies))
        first += cells
    want, new, old, cell = (np.concatenate(x) for x in (truth, challenger, champion, codes))
    old = np.full_like(old, -1) if alone else old
    return paired_differences(want, new, old, cell, draws=500, seed=int(rng.integers(2**31)))


def passes(found: Differences, margin: float, class_margin: float) -> bool:
    """The gate's rule: no interval reaches below its margin."""
    kept = all(one.low >= -class_margin for one in found.by_class.values())
    return kept and found.overall.low >= -margin


def first_models(runs: int, config: GateConfig) -> Table:
    """Share of first models that pass floors and rule, by true balanced accuracy."""
    shown = Table("first model, in truth", "passes", "width of its interval")
    aim = float(np.mean([one.sensitivity for one in LOCKED.values()]))
    for change in (0.02, 0.0, -0.04, -0.08, -0.12):
        rng = np.random.default_rng(0)
        shift = dict.fromkeys(LOCKED, change)
        found = [compare(shift, 1, rng, alone=True) for _ in range(runs)]
        share = np.mean([_passes_first(one, config) for one in found])
        width = np.mean([one.overall.high - one.overall.low for one in found])
        shown.add_row(f"{aim + change:.2f}", f"{share:.0%}", f"{width:.2f}")
    return shown


def _passes_first(found: Differences, config: GateConfig) -> bool:
    classes = all(one.value >= config.min_class_sensitivity for one in found.by_class.values())
    overall = found.overall
    return (
        classes
        and overall.value >= config.min_balanced_accuracy
        and overall.low >= config.first_min_low
    )


def table(runs: int, more: int, config: GateConfig) -> Table:
    """Share of challengers that pass, by true change and margins."""
    cells = sum(one.cells for one in LOCKED.values()) * more
    shown = Table("challenger, in truth", title=f"Challengers that pass, {cells} locked cells")
    for pair in MARGINS:
        star = " (default)" if pair == (config.max_loss, config.max_class_loss) else ""
        shown.add_column(f"{pair[0]:g} / {pair[1]:g}{star}", justify="right")
    for name, change in SCENARIOS.items():
        rng = np.random.default_rng(0)
        found = [compare(change, more, rng) for _ in range(runs)]
        shares = (np.mean([passes(one, *pair) for one in found]) for pair in MARGINS)
        shown.add_row(name, *(f"{share:.0%}" for share in shares))
    return shown


@cache
def _centre(mean: float) -> float:
    """Mean logit at which cells of this spread are right in `mean` of their copies on average."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)

    def missed(centre: float) -> float:
        return float(weights @ _logistic(centre + SPREAD * nodes) / weights.sum()) - mean

    return float(brentq(missed, -15, 15))


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500, help="challengers per row")
    runs = parser.parse_args().runs
    config = load_config(CONFIG).gate
    for more in (1, 4):
        Console().print(table(runs, more, config))
    Console().print(first_models(runs, config))


if __name__ == "__main__":
    main()
