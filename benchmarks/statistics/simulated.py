"""Cells of known accuracy: drawn, scored by the pipeline's own code, and what should be found.

The share of a cell's images that is right follows a beta distribution with a given correlation
between images of one cell; at 1 they are copies. A wrong cell is always taken for the same class.
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from pipeline.config import EvaluateConfig
from pipeline.records import Record
from pipeline.statistics.intervals import Resamples, percentile_interval
from pipeline.statistics.metrics import Floats, Interval, Ints, group_codes, vote
from pipeline.statistics.review import auroc
from pipeline.steps.evaluation.scoring import score_predictions
from pipeline.steps.experiments.novelty import NoveltyScores, novelty

COPIES = 8
"""Most images of a cell; each has 1 to so many."""
DRAWS = 200
CLASSES = ("A", "B", "C", "D")
_SURE = 0.7
"""Probability of the class that is named."""


@dataclass(frozen=True)
class World:
    """What is true of the cells that a simulation draws."""

    cells: tuple[int, ...]
    """Of each class."""
    accuracy: tuple[float, ...]
    """Share of images of each class that are named rightly."""
    correlation: float
    """Between images of one cell, above 0 to 1."""


class Sample(NamedTuple):
    """Images of one drawing (n,)."""

    truth: Ints
    named: Ints
    codes: Ints


class Found(NamedTuple):
    """A figure's intervals in one drawing, and what they should hold."""

    ours: Interval
    bootstrap: Interval
    truth: float


def sample(world: World, rng: np.random.Generator) -> Sample:
    """Draw cells, and answers to their images."""
    truth = np.repeat(np.arange(len(world.cells)), world.cells)
    right = _shares(np.array(world.accuracy)[truth], world.correlation, rng)
    wrong = (truth + rng.integers(1, len(CLASSES), len(truth))) % len(CLASSES)
    codes = np.repeat(np.arange(len(truth)), rng.integers(1, COPIES + 1, len(truth)))
    hit = rng.random(len(codes)) < right[codes]
    return Sample(truth[codes], np.where(hit, truth[codes], wrong[codes]), codes)


def classified(world: World, rng: np.random.Generator) -> dict[str, Found]:
    """Every share of one drawing, as an evaluation shows it."""
    drawn = sample(world, rng)
    records = [
        Record(sha256="", label=CLASSES[label], file="", archive="", group=f"{cell:05d}")
        for label, cell in zip(drawn.truth, drawn.codes, strict=True)
    ]
    config = EvaluateConfig(draws=DRAWS)
    found = score_predictions(
        records, _probabilities(drawn), np.ones(len(records)), CLASSES, config
    )
    intervals = {
        "balanced accuracy per image": found.balanced_accuracy,
        "balanced accuracy per cell": found.by_cell.balanced_accuracy,
        "accuracy": found.accuracy,
        "sensitivity of a class": found.sensitivity["A"],
        "specificity of a class": found.specificity["A"],
        "precision of a class": found.precision.get("A"),
    }
    alone, true = _bootstrap(drawn), _truths(world, drawn)
    return {
        name: Found(one, alone[name], true[name])
        for name, one in intervals.items()
        if one is not None
    }


def separated(world: World, rng: np.random.Generator) -> dict[str, Found]:
    """The AUROC between two sets of images; its truth is the world's accuracy."""
    (true, _), (many, few) = world.accuracy, world.cells
    shift = np.sqrt(2) * (norm.ppf(true) if true < 1 else 99)
    above, below = (_novelty_scores(cells, world, rng) for cells in (many, few))
    above = NoveltyScores(above.groups, above.uncertainties + shift, above.distances)
    ours = novelty(above, below, draws=DRAWS).auroc
    assert ours is not None
    drawn = [
        Resamples(codes, np.zeros_like(codes), draws=DRAWS, seed=seed)
        for seed, codes in enumerate(group_codes(one.groups) for one in (above, below))
    ]
    weights = [one.counts[:, one.codes] for one in drawn]
    samples = [
        auroc(above.uncertainties, below.uncertainties, *pair)
        for pair in zip(*weights, strict=True)
    ]
    alone = percentile_interval(ours.value, np.array(samples))
    return {"AUROC": Found(ours, alone, true)}


def _shares(mean: Floats, correlation: float, rng: np.random.Generator) -> Floats:
    """Share of each cell's images that is right (cells,)."""
    if correlation == 1:
        return np.asarray(rng.random(len(mean)) < mean, np.float64)
    sharpness = 1 / correlation - 1
    some = np.clip(mean, 1e-9, 1 - 1e-9)
    return np.where(mean < 1, rng.beta(some * sharpness, (1 - some) * sharpness), 1.0)


def _probabilities(drawn: Sample) -> Floats:
    rest = (1 - _SURE) / (len(CLASSES) - 1)
    return np.where(drawn.named[:, None] == np.arange(len(CLASSES)), _SURE, rest)


def _bootstrap(drawn: Sample) -> dict[str, Interval]:
    """The percentile bootstrap of the same figures."""
    images = np.eye(len(CLASSES))[drawn.truth], np.eye(len(CLASSES))[drawn.named]
    first = np.unique(drawn.codes, return_index=True)[1]
    voted = vote(_probabilities(drawn), drawn.codes).argmax(axis=1)
    cells = np.eye(len(CLASSES))[drawn.truth[first]], np.eye(len(CLASSES))[voted]
    resamples = Resamples(drawn.codes, drawn.truth, draws=DRAWS)
    per_image = _plain(*images, resamples)
    per_cell = _plain(*cells, resamples.of(np.arange(len(first))))
    return {f"{name} per image": one for name, one in per_image.items()} | {
        "balanced accuracy per cell": per_cell["balanced accuracy"],
        **{name: one for name, one in per_image.items() if name != "balanced accuracy"},
    }


def _plain(truth: Floats, named: Floats, resamples: Resamples) -> dict[str, Interval]:
    """Percentiles of what follows from resampled confusion matrices."""
    pairs = (truth[:, :, None] * named[:, None, :]).reshape(len(truth), -1)
    drawn = resamples.sums(pairs).reshape(-1, len(CLASSES), len(CLASSES))
    counts = np.concatenate([pairs.sum(axis=0).reshape(1, len(CLASSES), -1), drawn])
    answered = counts / counts.sum(axis=-1, keepdims=True)
    found = np.diagonal(answered, axis1=1, axis2=2)
    with np.errstate(invalid="ignore"):
        figures = {
            "balanced accuracy": found.mean(axis=1),
            "accuracy": np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2)),
            "sensitivity of a class": found[:, 0],
            "specificity of a class": 1 - answered[:, 1:, 0].mean(axis=1),
            "precision of a class": found[:, 0] / answered[:, :, 0].sum(axis=1),
        }
    return {
        name: percentile_interval(float(values[0]), values[1:])
        for name, values in figures.items()
        if not np.isnan(values[0])
    }


def _truths(world: World, drawn: Sample) -> dict[str, float]:
    """What each interval should hold; accuracy is at the class mix of the drawing."""
    found = np.array(world.accuracy)
    missed = (1 - found) / (len(CLASSES) - 1)
    return {
        "balanced accuracy per image": float(found.mean()),
        "balanced accuracy per cell": _accuracy_of_cells(world.accuracy, world.correlation),
        "accuracy": float(found[drawn.truth].mean()),
        "sensitivity of a class": float(found[0]),
        "specificity of a class": float(1 - missed[1:].mean()),
        "precision of a class": float(found[0] / (found[0] + missed[1:].sum())),
    }


@cache
def _accuracy_of_cells(accuracy: tuple[float, ...], correlation: float) -> float:
    """Balanced accuracy of cells that vote, from many of them."""
    many = sample(World((10_000,) * len(accuracy), accuracy, correlation), np.random.default_rng(1))
    first = np.unique(many.codes, return_index=True)[1]
    right = vote(_probabilities(many), many.codes).argmax(axis=1) == many.truth[first]
    return float(np.mean([right[many.truth[first] == at].mean() for at in range(len(accuracy))]))


def _novelty_scores(cells: int, world: World, rng: np.random.Generator) -> NoveltyScores:
    """Uncertainties of images that share their cell's part of the variance, 1 in all."""
    codes = np.repeat(np.arange(cells), rng.integers(1, COPIES + 1, cells))
    shared = np.sqrt(world.correlation) * rng.normal(size=cells)[codes]
    uncertainties = shared + np.sqrt(1 - world.correlation) * rng.normal(size=len(codes))
    return NoveltyScores([f"{cell:05d}" for cell in codes], uncertainties, np.zeros(len(codes)))
