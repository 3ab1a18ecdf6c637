"""Metrics of predictions equal values computed by hand."""

import numpy as np
import pytest

from pipeline.config.evaluation import EvaluateConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.statistics.groups import Floats
from pipeline.steps.evaluation.scoring import Scores, score_predictions

CLASSES = ("A", "B", "C")


def image(label: str, group: str, cell: str = "") -> Record:
    return Record(sha256="", label=label, file="", archive="", group=group, cell=cell)


RECORDS = [image("A", "1"), image("A", "1"), image("A", "2"), image("B", "3"), image("B", "3")]
PROBABILITIES = np.array(
    [
        [0.9, 0.1, 0.0],  # right
        [0.4, 0.6, 0.0],  # wrong, but the mean of its cell is right
        [0.2, 0.0, 0.8],  # wrong
        [0.0, 1.0, 0.0],  # right
        [0.3, 0.7, 0.0],  # right
    ]
)
UNCERTAINTIES = 2 - 2 * PROBABILITIES.max(axis=1)
"""A prediction is accepted from a confidence of a half."""
PATIENTS = [
    image(label, group, cell)
    for cell, label, group in ("1A1", "1A1", "2B1", "3A2", "4B2", "4B2", "5B3")
]
PATIENT_PROBABILITIES = np.array(
    [
        [0.9, 0.1, 0.0],  # cell 1, right
        [0.4, 0.6, 0.0],  # cell 1, wrong, but the mean is right
        [0.7, 0.3, 0.0],  # cell 2, wrong
        [0.8, 0.2, 0.0],  # cell 3, right
        [0.1, 0.9, 0.0],  # cell 4, right
        [0.2, 0.8, 0.0],  # cell 4, right
        [0.3, 0.7, 0.0],  # cell 5, right
    ]
)


def score(
    records: list[Record] = RECORDS,
    probabilities: Floats = PROBABILITIES,
    uncertainties: Floats = UNCERTAINTIES,
    draws: int = 100,
    **prevalence: float,
) -> Scores:
    config = EvaluateConfig(draws=draws, prevalence=prevalence)
    return score_predictions(records, probabilities, uncertainties, CLASSES, config)


def test_metrics_per_image() -> None:
    """Three of five images are right, half of the cells of A and all of B."""
    scores = score()
    assert (scores.images, scores.cells) == (5, 3)
    assert scores.confusion == ((1, 1, 1), (0, 2, 0), (0, 0, 0))
    assert scores.accuracy.value == pytest.approx(3 / 5)
    assert scores.balanced_accuracy.value == pytest.approx((1 / 3 + 1) / 2)
    assert scores.by_cell.balanced_accuracy.value == pytest.approx((1 / 2 + 1) / 2)
    assert {name: one.value for name, one in scores.sensitivity.items()} == pytest.approx(
        {"A": 1 / 3, "B": 1}
    )
    # One image per bin but for the last, which has two right ones: .6, .8 and .7, .9, 1.
    assert scores.calibration_error.value == pytest.approx((0.6 + 0.8 + 0.3 + 0.1) / 5)


def test_metrics_per_cell() -> None:
    """Cells are classified by the mean probabilities; the images of a cell share its weight."""
    scores = score().by_cell
    assert scores.confusion == ((1, 0, 1), (0, 1, 0), (0, 0, 0))
    assert scores.accuracy.value == pytest.approx(2 / 3)
    # Gaps of .6 and .3 in halves of a cell, .8 in a whole one, .1 and 0 in one bin of a cell.
    assert scores.calibration_error.value == pytest.approx((0.3 + 0.8 + 0.15 + 0.05) / 3)


def test_review_metrics() -> None:
    """All are accepted; wrong predictions are less certain than right ones in 5 of 6 pairs."""
    review = score().review
    assert review.accepted.value == 1
    assert review.accepted_accuracy is not None
    assert review.accepted_accuracy.value == pytest.approx(3 / 5)
    # By confidence: right 1.0, right .9, wrong .8, right .7, wrong .6.
    assert review.accuracy_at_80.value == pytest.approx(3 / 4)
    assert review.mistake_auroc == pytest.approx(5 / 6)
    assert [point.coverage for point in review.curve][:2] == [0.05, 0.1]


def test_without_accepted_images_their_accuracy_is_none() -> None:
    """The review rule sends every image to review."""
    review = score(uncertainties=UNCERTAINTIES + 1.5).review
    assert (review.accepted.value, review.accepted_accuracy) == (0, None)


def test_typical_precision_is_at_the_prevalence_of_the_config() -> None:
    """Prevalences are normalised; without them only precision at an equal mix is computed."""
    without = score()
    assert (without.prevalence, without.typical_precision) == ({}, {})
    assert without.precision["B"].value == pytest.approx(1 / (1 + 1 / 3))
    typical = score(A=6, B=2, C=2)
    assert typical.prevalence == {"A": 0.6, "B": 0.2, "C": 0.2}
    assert typical.typical_precision["B"].value == pytest.approx(0.2 / (0.2 + 0.6 / 3))


def test_the_cells_of_a_patient_are_classified_separately() -> None:
    """Five cells of two classes in three groups: four are right."""
    scores = score(
        PATIENTS, PATIENT_PROBABILITIES, 2 - 2 * PATIENT_PROBABILITIES.max(axis=1), draws=200
    )
    assert (scores.images, scores.cells, scores.groups) == (7, 5, 3)
    assert scores.by_cell.confusion == ((2, 0, 0), (1, 2, 0), (0, 0, 0))
    assert scores.by_cell.sensitivity["B"].value == pytest.approx(2 / 3)


def test_a_cell_with_two_labels_counts_for_both_classes() -> None:
    """An archive that is only scored passes no data gate that would quarantine one of them."""
    records = [image("A", "g", "1"), image("B", "g", "1"), image("B", "h", "2")]
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.0, 1.0, 0.0]])
    scores = score(records, probabilities, np.zeros(3))
    assert scores.cells == 3
    assert scores.by_cell.confusion == ((1, 0, 0), (1, 1, 0), (0, 0, 0))


def test_records_without_cell_are_scored_by_group() -> None:
    """Records of earlier versions give the same metrics as with one cell per group."""
    named = [r.model_copy(update={"cell": f"c{r.group}"}) for r in RECORDS]
    assert score(named) == score()


def test_the_order_of_images_does_not_matter() -> None:
    """Workers may read packs in another order."""
    order = [4, 1, 3, 0, 2]
    shuffled = score([RECORDS[n] for n in order], PROBABILITIES[order], UNCERTAINTIES[order])
    ordered = score()
    assert shuffled.confusion == ordered.confusion
    assert shuffled.balanced_accuracy.value == pytest.approx(ordered.balanced_accuracy.value)
    assert shuffled.balanced_accuracy.low == pytest.approx(ordered.balanced_accuracy.low)


def test_nothing_to_score_is_refused() -> None:
    """An empty test part is an error."""
    with pytest.raises(InvalidInputError, match="nothing to score"):
        score([], np.empty((0, 3)), np.empty(0))
