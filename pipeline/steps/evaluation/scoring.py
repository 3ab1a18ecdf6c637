"""Scoring: metrics of predictions for labelled images, per image and per cell, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.evaluation import EvaluateConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Frozen, Record
from pipeline.statistics.calibration import Bin, calibration_interval, reliability
from pipeline.statistics.groups import Bools, Floats, Ints, group_codes, mean_per_group
from pipeline.statistics.intervals import Interval, Resamples, predictive_value
from pipeline.statistics.review_rule import auroc, least_uncertain

COVERAGES = np.round(np.arange(0.05, 1.001, 0.05), 2)
"""Shares of the images at which the accuracy of the least uncertain ones is computed."""
_AT_80 = int(np.flatnonzero(COVERAGES == 0.8)[0])


class CoveragePoint(Frozen):
    """Accuracy of the predictions with the lowest uncertainty."""

    coverage: float
    accuracy: Interval


class ReviewScores(Frozen):
    """Effect of sending uncertain images to a person."""

    accepted: Interval
    """Share of the images that the review rule accepts."""
    accepted_accuracy: Interval | None
    """None when no image is accepted."""
    accuracy_at_80: Interval
    """Accuracy of the 80 % with the lowest uncertainty."""
    mistake_auroc: float | None
    """Chance that a wrong prediction is less certain than a right one; None without both."""
    curve: tuple[CoveragePoint, ...]


class UnitScores(Frozen):
    """Metrics in which each image weighs the same, or each cell."""

    accuracy: Interval
    balanced_accuracy: Interval
    sensitivity: dict[str, Interval]
    specificity: dict[str, Interval]
    """At equal prevalence of the classes, like `precision`."""
    precision: dict[str, Interval]
    """Of the classes that occur both as label and as prediction."""
    typical_precision: dict[str, Interval]
    """At the prevalence of the config; empty without one."""
    calibration_error: Interval
    reliability: tuple[Bin, ...]
    review: ReviewScores
    confusion: tuple[tuple[int, ...], ...]
    """Rows are the truth, columns the prediction."""


class Scores(UnitScores):
    """Metrics per image, and per cell in `by_cell`."""

    images: int
    cells: int
    groups: int = 0
    """Number of groups that the intervals resample; 0 in reports of version 0.1."""
    classes: tuple[str, ...]
    prevalence: dict[str, float]
    """Share of each class in a typical sample, 0 to 1; empty when the config has none."""
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
    """Compute all metrics of predictions, with bootstrap intervals that resample groups.

    Args:
        records: label, group and cell of each image (n,).
        probabilities: in the order of `classes` (n, classes).
        uncertainties: (n,), from `decide`.
        classes: of the model.
        config: prevalence and number of resamples.

    Raises:
        InvalidInputError: when there are no records.
    """
    if not records:
        raise InvalidInputError("nothing to score", expected="labelled images", received="none")
    truth = np.array([classes.index(record.label) for record in records], np.int64)
    predicted = probabilities.argmax(axis=1)
    groups = group_codes([record.group for record in records])
    # An archive that is only scored passes no data gate: a cell with two labels counts as two.
    cells = group_codes([f"{record.cell}\n{record.label}" for record in records])
    first = np.unique(cells, return_index=True)[1]
    resamples = Resamples(groups, truth, draws=config.draws)
    total = sum(config.prevalence.values())
    prevalence = {name: config.prevalence[name] / total for name in config.prevalence}
    per_image = _Classified(truth, predicted, resamples, classes)
    votes = mean_per_group(probabilities, cells).argmax(axis=1)
    per_cell = _Classified(truth[first], votes, resamples.for_rows(groups[first]), classes)
    confidence = (probabilities.max(axis=1), predicted == truth, uncertainties)
    return Scores(
        images=len(records),
        cells=len(first),
        groups=int(groups.max()) + 1,
        classes=classes,
        prevalence=prevalence,
        **_classification_fields(per_image, prevalence),
        **_confidence_fields(*confidence, np.ones(len(records)), resamples),
        by_cell=UnitScores(
            **_classification_fields(per_cell, prevalence),
            **_confidence_fields(*confidence, 1 / np.bincount(cells)[cells], resamples),
        ),
    )


@dataclass(frozen=True)
class _Classified:
    """Truth and prediction of each image, or of each cell."""

    truth: Ints
    """Class indices (n,), like `predicted`."""
    predicted: Ints
    resamples: Resamples
    classes: tuple[str, ...]


def _classification_fields(units: _Classified, prevalence: dict[str, float]) -> dict[str, Any]:
    """The fields of `UnitScores` that depend on truth and predicted class alone."""
    from sklearn.metrics import confusion_matrix

    labels = range(len(units.classes))
    of_class = np.eye(len(units.classes))[units.truth]
    balanced = of_class @ (1 / np.maximum(of_class.sum(axis=0), 1))
    correct = (units.predicted == units.truth) * 1.0
    weights = np.column_stack([np.ones(len(units.truth)), balanced, of_class])
    accuracy, balanced_accuracy, *by_class = units.resamples.shares(
        weights * correct[:, None], weights
    )
    sensitivity = _of_classes(units.classes, by_class)
    equal = dict.fromkeys(units.classes, 1.0)
    typical = {name: prevalence[name] for name in units.classes} if prevalence else {}
    specificity, precision = _at_prevalence(units, sensitivity, equal)
    return {
        "accuracy": accuracy,
        "balanced_accuracy": balanced_accuracy,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": precision,
        "typical_precision": _at_prevalence(units, sensitivity, typical)[1] if typical else {},
        "confusion": tuple(
            map(tuple, confusion_matrix(units.truth, units.predicted, labels=labels).tolist())
        ),
    }


def _at_prevalence(
    units: _Classified, sensitivity: dict[str, Interval], prevalence: dict[str, float]
) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """Specificity and precision of the classes at a prevalence, without the absent classes.

    The class mix of an archive differs from that of blood. Both metrics depend on the mix, so they
    are computed from the predictions of each class.
    """
    names = units.classes
    share = np.array([prevalence[name] if name in sensitivity else 0.0 for name in names])
    count = np.bincount(units.truth, minlength=len(names))
    others = 1 - np.eye(len(names))[units.truth]
    weights = others * (share / np.maximum(count, 1))[units.truth][:, None]
    negative = units.predicted[:, None] != np.arange(len(names))
    specificity = _of_classes(names, units.resamples.shares(weights * negative, weights))
    precision = [
        predictive_value(sensitivity[name], specificity[name], own, share.sum() - own)
        if name in sensitivity and name in specificity
        else None
        for name, own in zip(names, share, strict=True)
    ]
    return specificity, _of_classes(names, precision)


def _of_classes(
    classes: Sequence[str], intervals: Sequence[Interval | None]
) -> dict[str, Interval]:
    """Class to interval, without the classes whose metric is undefined."""
    return {name: one for name, one in zip(classes, intervals, strict=True) if one is not None}


def _confidence_fields(
    confidence: Floats, correct: Bools, uncertainties: Floats, weights: Floats, resamples: Resamples
) -> dict[str, Any]:
    """The fields of `UnitScores` that depend on confidence or uncertainty; arrays are (n,)."""
    return {
        "calibration_error": calibration_interval(confidence, correct, weights, resamples),
        "reliability": reliability(confidence, correct, weights),
        "review": _review(correct, uncertainties, weights, resamples),
    }


def _review(
    correct: Bools, uncertainties: Floats, weights: Floats, resamples: Resamples
) -> ReviewScores:
    """Accuracy of the accepted images, and at each coverage; arrays are (n,)."""
    at_coverage = least_uncertain(uncertainties, correct, weights, COVERAGES)
    chosen = np.column_stack([uncertainties <= 1, at_coverage]) * weights[:, None]
    accepted, accepted_accuracy, *accuracy = resamples.shares(
        np.column_stack([chosen[:, 0], chosen * correct[:, None]]),
        np.column_stack([weights, chosen]),
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
        accuracy_at_80=curve[_AT_80].accuracy,
        mistake_auroc=(
            auroc(
                uncertainties[~correct], uncertainties[correct], weights[~correct], weights[correct]
            )
            if 0 < correct.sum() < len(correct)
            else None
        ),
        curve=curve,
    )
