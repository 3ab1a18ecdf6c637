"""Simulated cells of known accuracy, scored by the pipeline's own code, with the true values.

The share of a cell's images with a correct prediction is beta distributed, with a given correlation
between images of one cell; at 1 they are copies. Errors of one cell all predict the same class.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from pipeline.config.evaluation import EvaluateConfig
from pipeline.records import Record
from pipeline.statistics.groups import Floats, Ints, group_codes, mean_per_group
from pipeline.statistics.intervals import Interval, Resamples, percentile_interval
from pipeline.statistics.review_rule import auroc
from pipeline.steps.evaluation.scoring import score_predictions
from pipeline.steps.experiments.novelty import NoveltyScores, novelty

COPIES = 8
"""Maximum number of images of a cell; the minimum is 1."""
DRAWS = 200
CLASSES = ("A", "B", "C", "D")
_CONFIDENCE = 0.7
"""Probability of the predicted class."""


@dataclass(frozen=True)
class Population:
    """True properties of the simulated cells."""

    cells: tuple[int, ...]
    """Number of cells of each class."""
    accuracy: tuple[float, ...]
    """Share of correct predictions of each class."""
    correlation: float
    """Between images of one cell; above 0, at most 1."""


class Sample(NamedTuple):
    """Images of one draw (n,)."""

    truth: Ints
    predicted: Ints
    codes: Ints


class Estimate(NamedTuple):
    """Interval of a metric in one draw, the bootstrap's interval, and the true value."""

    interval: Interval
    """As the pipeline reports it."""
    bootstrap: Interval
    truth: float


def sample(population: Population, rng: np.random.Generator) -> Sample:
    """Draw cells, and predictions for their images."""
    truth = np.repeat(np.arange(len(population.cells)), population.cells)
    correct = _shares(np.array(population.accuracy)[truth], population.correlation, rng)
    wrong = (truth + rng.integers(1, len(CLASSES), len(truth))) % len(CLASSES)
    codes = np.repeat(np.arange(len(truth)), rng.integers(1, COPIES + 1, len(truth)))
    hit = rng.random(len(codes)) < correct[codes]
    return Sample(truth[codes], np.where(hit, truth[codes], wrong[codes]), codes)


def estimate_scores(population: Population, rng: np.random.Generator) -> dict[str, Estimate]:
    """Draw cells; interval and true value of each metric, as an evaluation reports it."""
    drawn = sample(population, rng)
    records = [
        Record(sha256="", label=CLASSES[label], file="", archive="", group=f"{cell:05d}")
        for label, cell in zip(drawn.truth, drawn.codes, strict=True)
    ]
    config = EvaluateConfig(draws=DRAWS)
    scores = score_predictions(
        records, _probabilities(drawn), np.ones(len(records)), CLASSES, config
    )
    intervals = {
        "balanced accuracy per image": scores.balanced_accuracy,
        "balanced accuracy per cell": scores.by_cell.balanced_accuracy,
        "accuracy": scores.accuracy,
        "sensitivity of a class": scores.sensitivity["A"],
        "specificity of a class": scores.specificity["A"],
        "precision of a class": scores.precision.get("A"),
    }
    bootstrap, truth = _bootstrap(drawn), _true_values(population, drawn)
    return {
        name: Estimate(interval, bootstrap[name], truth[name])
        for name, interval in intervals.items()
        if interval is not None
    }


def estimate_auroc(population: Population, rng: np.random.Generator) -> dict[str, Estimate]:
    """Draw two sets of images; their AUROC, whose true value is the first class's accuracy."""
    (true, _), (n_above, n_below) = population.accuracy, population.cells
    shift = np.sqrt(2) * (norm.ppf(true) if true < 1 else 99)
    above, below = (_novelty_scores(cells, population, rng) for cells in (n_above, n_below))
    above = NoveltyScores(above.groups, above.uncertainties + shift, above.distances)
    interval = novelty(above, below, draws=DRAWS).auroc
    assert interval is not None
    drawn = [
        Resamples(codes, np.zeros_like(codes), draws=DRAWS, seed=seed)
        for seed, codes in enumerate(group_codes(one.groups) for one in (above, below))
    ]
    weights = [one.counts[:, one.codes] for one in drawn]
    samples = [
        auroc(above.uncertainties, below.uncertainties, *pair)
        for pair in zip(*weights, strict=True)
    ]
    bootstrap = percentile_interval(interval.value, np.array(samples))
    return {"AUROC": Estimate(interval, bootstrap, true)}


def _shares(mean: Floats, correlation: float, rng: np.random.Generator) -> Floats:
    """Share of correct predictions of each cell (cells,)."""
    if correlation == 1:
        return np.asarray(rng.random(len(mean)) < mean, np.float64)
    sharpness = 1 / correlation - 1
    clipped = np.clip(mean, 1e-9, 1 - 1e-9)
    return np.where(mean < 1, rng.beta(clipped * sharpness, (1 - clipped) * sharpness), 1.0)


def _probabilities(drawn: Sample) -> Floats:
    """Probabilities (n, classes) of simulated images: `_CONFIDENCE` for the predicted class."""
    rest = (1 - _CONFIDENCE) / (len(CLASSES) - 1)
    return np.where(drawn.predicted[:, None] == np.arange(len(CLASSES)), _CONFIDENCE, rest)


def _bootstrap(drawn: Sample) -> dict[str, Interval]:
    """Percentile bootstrap interval of each metric that an evaluation reports, by name."""
    images = np.eye(len(CLASSES))[drawn.truth], np.eye(len(CLASSES))[drawn.predicted]
    first = np.unique(drawn.codes, return_index=True)[1]
    voted = mean_per_group(_probabilities(drawn), drawn.codes).argmax(axis=1)
    cells = np.eye(len(CLASSES))[drawn.truth[first]], np.eye(len(CLASSES))[voted]
    resamples = Resamples(drawn.codes, drawn.truth, draws=DRAWS)
    per_image = _percentiles(*images, resamples)
    per_cell = _percentiles(*cells, resamples.for_rows(np.arange(len(first))))
    per_image["balanced accuracy per image"] = per_image["balanced accuracy"]
    return {**per_image, "balanced accuracy per cell": per_cell["balanced accuracy"]}


def _percentiles(truth: Floats, predicted: Floats, resamples: Resamples) -> dict[str, Interval]:
    """Percentile intervals of metrics from resampled confusion matrices."""
    pairs = (truth[:, :, None] * predicted[:, None, :]).reshape(len(truth), -1)
    drawn = resamples.sums(pairs).reshape(-1, len(CLASSES), len(CLASSES))
    counts = np.concatenate([pairs.sum(axis=0).reshape(1, len(CLASSES), -1), drawn])
    rates = counts / counts.sum(axis=-1, keepdims=True)
    sensitivity = np.diagonal(rates, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        metrics = {
            "balanced accuracy": sensitivity.mean(axis=1),
            "accuracy": np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2)),
            "sensitivity of a class": sensitivity[:, 0],
            "specificity of a class": 1 - rates[:, 1:, 0].mean(axis=1),
            "precision of a class": sensitivity[:, 0] / rates[:, :, 0].sum(axis=1),
        }
    return {
        name: percentile_interval(float(values[0]), values[1:])
        for name, values in metrics.items()
        if not np.isnan(values[0])
    }


def _true_values(population: Population, drawn: Sample) -> dict[str, float]:
    """True value of each metric; accuracy at the class mix of the draw."""
    correct = np.array(population.accuracy)
    confused = (1 - correct) / (len(CLASSES) - 1)
    return {
        "balanced accuracy per image": float(correct.mean()),
        "balanced accuracy per cell": _accuracy_of_cells(
            population.accuracy, population.correlation
        ),
        "accuracy": float(correct[drawn.truth].mean()),
        "sensitivity of a class": float(correct[0]),
        "specificity of a class": float(1 - confused[1:].mean()),
        "precision of a class": float(correct[0] / (correct[0] + confused[1:].sum())),
    }


@cache
def _accuracy_of_cells(accuracy: tuple[float, ...], correlation: float) -> float:
    """True balanced accuracy per cell, by majority vote, from a large sample."""
    many = sample(
        Population((10_000,) * len(accuracy), accuracy, correlation), np.random.default_rng(1)
    )
    first = np.unique(many.codes, return_index=True)[1]
    correct = mean_per_group(_probabilities(many), many.codes).argmax(axis=1) == many.truth[first]
    return float(np.mean([correct[many.truth[first] == at].mean() for at in range(len(accuracy))]))


def _novelty_scores(cells: int, population: Population, rng: np.random.Generator) -> NoveltyScores:
    """Uncertainties of variance 1; images of one cell are correlated."""
    codes = np.repeat(np.arange(cells), rng.integers(1, COPIES + 1, cells))
    shared = np.sqrt(population.correlation) * rng.normal(size=cells)[codes]
    uncertainties = shared + np.sqrt(1 - population.correlation) * rng.normal(size=len(codes))
    return NoveltyScores([f"{cell:05d}" for cell in codes], uncertainties, np.zeros(len(codes)))
