"""Scoring: what a model's answers to labelled images are worth, per image and per cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.config import EvaluateConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen, Record
from pipeline.statistics.calibration import Bin, calibration_interval, reliability
from pipeline.statistics.intervals import Resamples, predictive_value
from pipeline.statistics.metrics import Bools, Floats, Interval, Ints, group_codes, vote
from pipeline.statistics.review import auroc, least_uncertain

COVERAGES = np.round(np.arange(0.05, 1.001, 0.05), 2)
_ASKED = int(np.flatnonzero(COVERAGES == 0.8)[0])


class CoveragePoint(Frozen):
    """Accuracy of the predictions with the lowest uncertainty."""

    coverage: float
    accuracy: Interval


class ReviewScores(Frozen):
    """Effect of sending uncertain images to a person."""

    accepted: Interval
    """Share that the model's rule accepts."""
    accepted_accuracy: Interval | None
    """None when nothing is accepted."""
    accuracy_at_80: Interval
    """Accuracy of the 80 % with the lowest uncertainty."""
    mistake_auroc: float | None
    """Chance that a wrong prediction is less certain than a right one; None without both."""
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
    """A cell's class is that of its images' mean probabilities; confidence and uncertainty are per
    image, and the images of a cell share its weight."""


def score_predictions(
    records: Sequence[Record],
    probabilities: Floats,
    uncertainties: Floats,
    classes: tuple[str, ...],
    config: EvaluateConfig,
) -> Scores:
    """Score answers; intervals resample groups, never images.

    Args:
        records: with label, group and cell (n,).
        probabilities: in the order of `classes` (n, classes).
        uncertainties: as `decide` gives them (n,).
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
    # Without a data gate, as in an archive that is only scored, a cell may have two labels: then it
    # is a cell of each.
    cells = group_codes([f"{record.cell}\n{record.label}" for record in records])
    first = np.unique(cells, return_index=True)[1]
    resamples = Resamples(groups, truth, draws=config.draws)
    of_cells = resamples.of(groups[first])
    total = sum(config.prevalence.values())
    prevalence = {name: config.prevalence[name] / total for name in config.prevalence}
    voted = vote(probabilities, cells).argmax(axis=1)
    answers = (probabilities.max(axis=1), predicted == truth, uncertainties)
    return Scores(
        images=len(records),
        cells=len(first),
        groups=int(groups.max()) + 1,
        classes=classes,
        prevalence=prevalence,
        **_named(truth, predicted, resamples, classes, prevalence),
        **_sure(*answers, np.ones(len(records)), resamples),
        by_cell=UnitScores(
            **_named(truth[first], voted, of_cells, classes, prevalence),
            **_sure(*answers, 1 / np.bincount(cells)[cells], resamples),
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
    from sklearn.metrics import confusion_matrix

    of_class = np.eye(len(classes))[truth]
    count = of_class.sum(axis=0)
    balanced = of_class @ (1 / np.maximum(count, 1))
    right = (predicted == truth) * 1.0
    weights = np.column_stack([np.ones(len(truth)), balanced, of_class])
    accuracy, overall, *found = resamples.shares(weights * right[:, None], weights)
    sensitivity = _present(classes, found)
    typical = {name: prevalence[name] for name in classes} if prevalence else {}
    specificity, precision = _at_prevalence(
        truth, predicted, resamples, sensitivity, dict.fromkeys(classes, 1.0)
    )
    return {
        "accuracy": accuracy,
        "balanced_accuracy": overall,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": precision,
        "typical_precision": (
            _at_prevalence(truth, predicted, resamples, sensitivity, typical)[1] if typical else {}
        ),
        "confusion": tuple(
            map(tuple, confusion_matrix(truth, predicted, labels=range(len(classes))).tolist())
        ),
    }


def _at_prevalence(
    truth: Ints,
    predicted: Ints,
    resamples: Resamples,
    sensitivity: dict[str, Interval],
    prevalence: dict[str, float],
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Specificity and precision where the classes, in their order, occur at a prevalence.

    The mix of an archive says nothing about the mix in blood, so what depends on it is worked out
    from how each class is answered. A class that is absent is left out of the mix.
    """
    classes = list(prevalence)
    share = np.array([prevalence[name] if name in sensitivity else 0.0 for name in classes])
    count = np.bincount(truth, minlength=len(classes))
    others = 1 - np.eye(len(classes))[truth]
    weights = others * (share / np.maximum(count, 1))[truth][:, None]
    spared = predicted[:, None] != np.arange(len(classes))
    specificity = _present(classes, resamples.shares(weights * spared, weights))
    precision = [
        predictive_value(sensitivity[name], specificity[name], own, share.sum() - own)
        if name in sensitivity and name in specificity
        else None
        for name, own in zip(classes, share, strict=True)
    ]
    return specificity, _present(classes, precision)


def _present(classes: Sequence[str], found: Sequence[Interval | None]) -> dict[str, Interval]:
    """The figures of those classes that have one."""
    return {name: one for name, one in zip(classes, found, strict=True) if one is not None}


def _sure(
    confidence: Floats, correct: Bools, uncertainties: Floats, weights: Floats, resamples: Resamples
) -> dict[str, Any]:
    """Fields of `UnitScores` that follow from how sure each answer (n,) is."""
    return {
        "calibration_error": calibration_interval(confidence, correct, weights, resamples),
        "reliability": reliability(confidence, correct, weights),
        "review": _review(correct, uncertainties, weights, resamples),
    }


def _review(
    correct: Bools, uncertainties: Floats, weights: Floats, resamples: Resamples
) -> ReviewScores:
    surest = least_uncertain(uncertainties, correct, weights, COVERAGES)
    asked = np.column_stack([uncertainties <= 1, surest]) * weights[:, None]
    accepted, accepted_accuracy, *accuracy = resamples.shares(
        np.column_stack([asked[:, 0], asked * correct[:, None]]),
        np.column_stack([weights, asked]),
    )
    assert accepted is not None  # every image has weight
    curve = tuple(
        CoveragePoint(coverage=float(c), accuracy=a)
        for c, a in zip(COVERAGES, accuracy, strict=True)
        if a is not None
    )
    return ReviewScores(
        accepted=accepted,
        accepted_accuracy=accepted_accuracy,
        accuracy_at_80=curve[_ASKED].accuracy,
        mistake_auroc=(
            auroc(
                uncertainties[~correct], uncertainties[correct], weights[~correct], weights[correct]
            )
            if 0 < correct.sum() < len(correct)
            else None
        ),
        curve=curve,
    )
