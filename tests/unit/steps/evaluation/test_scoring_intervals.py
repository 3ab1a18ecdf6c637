"""Intervals of an evaluation: they resample groups, and have a width at 0 and 1, too."""

import numpy as np
import pytest

from pipeline.statistics.intervals import Interval
from pipeline.steps.evaluation.scoring import Scores, UnitScores
from tests.unit.steps.evaluation.test_scoring import (
    CLASSES,
    PROBABILITIES,
    RECORDS,
    UNCERTAINTIES,
    image,
    score,
)


def test_copies_of_images_do_not_narrow_the_interval() -> None:
    """Class A has two cells, one half right and one wrong."""
    once = score(draws=400).sensitivity["A"]
    often = score(
        RECORDS * 20, np.tile(PROBABILITIES, (20, 1)), np.tile(UNCERTAINTIES, 20), draws=400
    ).sensitivity["A"]
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert once.low == 0
    assert once.high == pytest.approx(0.92, abs=0.01)


def right_cells(cells: int, copies: int = 4) -> Scores:
    """Scores of `cells` cells, in turn of the three classes, with all predictions right."""
    labels = [CLASSES[cell % 3] for cell in range(cells) for _ in range(copies)]
    records = [image(label, str(n // copies)) for n, label in enumerate(labels)]
    probabilities = np.array(
        [[0.98 if label == name else 0.01 for name in CLASSES] for label in labels]
    )
    return score(records, probabilities, np.zeros(len(records)), 1000, A=1, B=2, C=7)


def every_interval(unit: UnitScores) -> dict[str, Interval]:
    """All intervals of an evaluation."""
    review = unit.review
    named = {
        "accuracy": unit.accuracy,
        "balanced accuracy": unit.balanced_accuracy,
        "calibration error": unit.calibration_error,
        "accepted": review.accepted,
        "accuracy at 80 %": review.accuracy_at_80,
        **{f"curve {point.coverage}": point.accuracy for point in review.curve},
    }
    if review.accepted_accuracy:
        named["accepted accuracy"] = review.accepted_accuracy
    for field in ("sensitivity", "specificity", "precision", "typical_precision"):
        named |= {f"{field} {name}": one for name, one in getattr(unit, field).items()}
    return named


@pytest.mark.parametrize("cells", [3, 12])
def test_without_mistakes_every_interval_has_a_width(cells: int) -> None:
    """Per image and per cell, also with one cell per class."""
    scores = right_cells(cells)
    for unit in (scores, scores.by_cell):
        for name, one in every_interval(unit).items():
            assert one.low <= one.value <= one.high, name
            assert one.high - one.low > 0.15, name
        assert len(every_interval(unit)) == 6 + 20 + 4 * 3


def test_four_right_cells_per_class_have_the_exact_bound() -> None:
    """0.398 for a class, and 1 - 0.602 / sqrt(3) for three, the same per image and per cell."""
    scores = right_cells(12)
    for unit in (scores, scores.by_cell):
        assert unit.sensitivity["A"].low == pytest.approx(0.398, abs=1e-3)
        assert unit.balanced_accuracy.low == pytest.approx(1 - 0.602 / np.sqrt(3), abs=1e-3)


def test_precision_of_a_rare_class_has_a_wider_interval() -> None:
    """At a prevalence of 1 to 9, one wrong prediction in ten of the others halves it."""
    scores = right_cells(12)
    assert scores.typical_precision["A"].value == 1
    assert scores.typical_precision["A"].low < 0.2 < scores.precision["A"].low


def test_a_group_of_several_classes_is_resampled_whole() -> None:
    """Four patients, each with cells of all classes, have the interval of four units."""
    records = [image(CLASSES[n % 3], str(n // 12)) for n in range(48)]
    probabilities = np.array([np.eye(3)[n % 3] for n in range(48)])
    patients = score(records, probabilities, np.zeros(48), 1000)
    # Four cells of each class have 0.65 instead.
    assert patients.balanced_accuracy.low == pytest.approx(0.398, abs=1e-3)
    assert patients.balanced_accuracy.low < right_cells(12).balanced_accuracy.low


def test_the_same_predictions_have_the_same_scores() -> None:
    """They are equal to the bit, so that a retried evaluation is the same artefact."""
    assert right_cells(12) == right_cells(12)


def test_a_report_of_an_earlier_version_is_read() -> None:
    """Its intervals may have a width of zero."""
    old = right_cells(3).model_dump(mode="json")
    for field in ("accuracy", "balanced_accuracy"):
        old[field] = {"value": 1.0, "low": 1.0, "high": 1.0}
    assert Scores.model_validate(old).balanced_accuracy.low == 1


def test_intervals_resample_patients() -> None:
    """Errors of one patient's cells are correlated: groups give wider intervals than cells."""
    rng = np.random.default_rng(3)
    cells = [(f"{p}-{n}", "AB"[n % 2], f"p{p}") for p in range(12) for n in range(20)]
    hard = rng.random(12) < 0.4
    right = np.array([0.5 if hard[n // 20] else 0.95 for n in range(240)]) > rng.random(240)
    truth = np.array([label == "B" for _, label, _ in cells], np.int64)
    probabilities = np.eye(3)[np.where(right, truth, 1 - truth)] * 0.8 + 0.2 / 3
    by_group, by_cell = (
        score(
            [
                image(label, group if unit == "group" else cell, cell)
                for cell, label, group in cells
            ],
            probabilities,
            np.zeros(240),
            400,
        ).by_cell.balanced_accuracy
        for unit in ("group", "cell")
    )
    assert by_group.value == pytest.approx(by_cell.value)
    assert by_group.high - by_group.low > 1.5 * (by_cell.high - by_cell.low)
