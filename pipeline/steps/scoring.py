"""Scoring: what a model's answers to labelled images are worth, per image and per cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.config import EvaluateConfig
from pipeline.errors import InvalidInputError
from pipeline.modeling.calibration import (
    Bin,
    calibration_error,
    calibration_errors,
    gaps,
    reliability,
)
from pipeline.modeling.metrics import (
    Bools,
    Floats,
    Interval,
    Ints,
    Resamples,
    confusion,
    group_codes,
    interval,
    rates,
    vote,
)
from pipeline.modeling.review import CoverageCurve, auroc
from pipeline.modeling.strata import strata_of
from pipeline.records import Frozen, Record

COVERAGES = np.round(np.arange(0.05, 1.001, 0.05), 2)
_ASKED = int(np.flatnonzero(COVERAGES == 0.8)[0])


class CoveragePoint(Frozen):
    """How accurate the least doubtful answers are."""

    coverage: float
    accuracy: Interval


class ReviewScores(Frozen):
    """What leaving doubtful images to a person is worth."""

    accepted: Interval
    """Share that the model's rule accepts."""
    accepted_accuracy: Interval | None
    """None when nothing is accepted."""
    accuracy_at_80: Interval
    """Accuracy of the 80 % that are doubted least."""
    mistake_auroc: float | None
    """Chance that a wrong answer is doubted more than a right one; None without both."""
    curve: tuple[CoveragePoint, ...]


class UnitScores(Frozen):
    """What answers are worth when each image counts alike, or each cell."""

    accuracy: Interval
    balanced_accuracy: Interval
    sensitivity: dict[str, Interval]
    specificity: dict[str, Interval]
    """At equal prevalence of the classes, like `precision`."""
    precision: dict[str, Interval]
    """Only of classes that are present and named."""
    typical_precision: dict[str, Interval]
    """At the prevalence of the config; empty without one."""
    calibration_error: Interval
    reliability: tuple[Bin, ...]
    review: ReviewScores
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the prediction."""


class Scores(UnitScores):
    """What the answers are worth, per image and per cell."""

    images: int
    cells: int
    groups: int = 0
    """Slides, patients or source cells, which intervals resample; 0 in reports of version 0.1."""
    classes: tuple[str, ...]
    prevalence: dict[str, float]
    """Share of each class in a typical sample, 0 to 1; empty when nobody said."""
    by_cell: UnitScores
    """A cell is named by the mean of its images' answers; its confidence and doubt are its images',
    which share its weight."""


def scores(
    records: Sequence[Record],
    probabilities: Floats,
    doubts: Floats,
    classes: tuple[str, ...],
    config: EvaluateConfig,
) -> Scores:
    """Score answers; intervals resample groups, never images.

    Args:
        records: with label, group and cell (n,).
        probabilities: in the order of `classes` (n, classes).
        doubts: as `decide` gives them (n,).
        classes: of the model.
        config: prevalence and number of resamples.

    Raises:
        InvalidInputError: when there is nothing to score.
    """
    if not records:
        raise InvalidInputError("nothing to score", expected="labelled images", received="none")
    truth = np.array([classes.index(record.label) for record in records], np.int64)
    predicted = probabilities.argmax(axis=1)
    groups = group_codes([record.group for record in records])
    strata = strata_of(groups, truth)
    resamples = Resamples(groups, strata, draws=config.draws)
    # Without a data gate, as in an archive that is only scored, a cell may have two labels: then it
    # is a cell of each.
    codes = group_codes([f"{record.cell}\n{record.label}" for record in records])
    first = np.unique(codes, return_index=True)[1]
    of_cells = Resamples(groups[first], strata[first], draws=config.draws)
    total = sum(config.prevalence.values())
    prevalence = {name: config.prevalence[name] / total for name in config.prevalence}
    voted = vote(probabilities, codes).argmax(axis=1)
    cells = truth[first]
    answers = (probabilities.max(axis=1), predicted == truth, doubts)
    return Scores(
        images=len(records),
        cells=len(cells),
        groups=int(groups.max()) + 1,
        classes=classes,
        prevalence=prevalence,
        **_named(truth, predicted, resamples, classes, prevalence),
        **_sure(*answers, np.ones(len(records)), resamples),
        by_cell=UnitScores(
            **_named(cells, voted, of_cells, classes, prevalence),
            **_sure(*answers, 1 / np.bincount(codes)[codes], resamples),
        ),
    )


def _named(
    truth: Ints,
    predicted: Ints,
    resamples: Resamples,
    classes: Sequence[str],
    prevalence: dict[str, float],
) -> dict[str, Any]:
    """Fields of `UnitScores` that follow from which class is named."""
    counts = confusion(truth, predicted, len(classes))
    drawn = resamples.confusions(truth, predicted, len(classes))
    equal = np.full(len(classes), 1 / len(classes))
    once, often = rates(counts, equal), rates(drawn, equal)
    typical = np.array([prevalence.get(name, np.nan) for name in classes])
    return {
        "accuracy": interval(_accuracy(counts), _accuracy(drawn)),
        "balanced_accuracy": interval(
            float(np.nanmean(once.sensitivity)), np.nanmean(often.sensitivity, axis=-1)
        ),
        "sensitivity": _by_class(once.sensitivity, often.sensitivity, classes),
        "specificity": _by_class(once.specificity, often.specificity, classes),
        "precision": _by_class(once.precision, often.precision, classes),
        "typical_precision": _by_class(
            rates(counts, typical).precision, rates(drawn, typical).precision, classes
        ),
        "confusion": tuple(tuple(int(n) for n in row) for row in counts),
    }


def _accuracy(counts: Floats | Ints) -> Any:
    return np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))


def _by_class(value: Floats, drawn: Floats, classes: Sequence[str]) -> dict[str, Interval]:
    """Classes whose figure (classes,) has a value, with its resampled values (draws, classes)."""
    return {
        name: interval(value[index], drawn[:, index])
        for index, name in enumerate(classes)
        if not np.isnan(value[index])
    }


def _sure(
    confidence: Floats, correct: Bools, doubts: Floats, weights: Floats, resamples: Resamples
) -> dict[str, Any]:
    """Fields of `UnitScores` that follow from how sure each answer (n,) is."""
    error = calibration_error(confidence, correct, weights)
    drawn = calibration_errors(resamples.sums(gaps(confidence, correct, weights)))
    return {
        "calibration_error": interval(error, drawn),
        "reliability": reliability(confidence, correct, weights),
        "review": _review(correct, doubts, weights, resamples),
    }


def _review(correct: Bools, doubts: Floats, weights: Floats, resamples: Resamples) -> ReviewScores:
    curve = CoverageCurve(doubts, correct, COVERAGES)
    drawn = resamples.each(lambda times: curve(times * weights))
    accuracy = [interval(*pair) for pair in zip(curve(weights), drawn.T, strict=True)]
    taken = weights * (doubts <= 1)
    # Columns: weight, accepted weight, accepted and right.
    kept = np.stack([weights, taken, taken * correct], axis=1)
    (all_, accepted, right), often = kept.sum(axis=0), resamples.sums(kept)
    with np.errstate(invalid="ignore"):
        accuracies = often[:, 2] / often[:, 1]
    return ReviewScores(
        accepted=interval(accepted / all_, often[:, 1] / often[:, 0]),
        accepted_accuracy=interval(right / accepted, accuracies) if accepted else None,
        accuracy_at_80=accuracy[_ASKED],
        mistake_auroc=(
            auroc(doubts[~correct], doubts[correct], weights[~correct], weights[correct])
            if 0 < correct.sum() < len(correct)
            else None
        ),
        curve=tuple(
            CoveragePoint(coverage=float(c), accuracy=a)
            for c, a in zip(COVERAGES, accuracy, strict=True)
        ),
    )
