"""What answers are worth, worked out by hand."""

import numpy as np
import pytest

from pipeline.config import EvaluateConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.statistics.metrics import Interval
from pipeline.steps.evaluation.scoring import Scores, UnitScores, score_predictions

CLASSES = ("A", "B", "C")


def image(label: str, group: str, sha256: str = "") -> Record:
    return Record(sha256=sha256, label=label, file="", archive="", group=group)


RECORDS = [image("A", "1"), image("A", "1"), image("A", "2"), image("B", "3"), image("B", "3")]
PROBABILITIES = np.array(
    [
        [0.9, 0.1, 0.0],  # right
        [0.4, 0.6, 0.0],  # wrong, but its cell is outvoted by its other image
        [0.2, 0.0, 0.8],  # wrong
        [0.0, 1.0, 0.0],  # right
        [0.3, 0.7, 0.0],  # right
    ]
)


UNCERTAINTIES = 2 - 2 * PROBABILITIES.max(axis=1)
"""Accepted from a half."""


def config(draws: int, **prevalence: float) -> EvaluateConfig:
    return EvaluateConfig(draws=draws, prevalence=prevalence)


def test_a_toy_is_scored_as_by_hand() -> None:
    """Three of five images, half of the cells of A and all of B."""
    found = score_predictions(RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(200))
    assert (found.images, found.cells) == (5, 3)
    assert found.confusion == ((1, 1, 1), (0, 2, 0), (0, 0, 0))
    assert found.accuracy.value == pytest.approx(3 / 5)
    assert found.balanced_accuracy.value == pytest.approx((1 / 3 + 1) / 2)
    assert found.by_cell.balanced_accuracy.value == pytest.approx((1 / 2 + 1) / 2)
    assert {name: one.value for name, one in found.sensitivity.items()} == pytest.approx(
        {"A": 1 / 3, "B": 1}
    )
    # One image a bin but for the two right ones in the last: .6, .8 and .7, .9, 1.
    assert found.calibration_error.value == pytest.approx((0.6 + 0.8 + 0.3 + 0.1) / 5)


def test_a_toy_is_scored_by_cell_as_by_hand() -> None:
    """Cells are named by the mean of their images; confidence shares a cell's weight."""
    found = score_predictions(RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(200)).by_cell
    assert found.confusion == ((1, 0, 1), (0, 1, 0), (0, 0, 0))
    assert found.accuracy.value == pytest.approx(2 / 3)
    # Gaps of .6 and .3 in halves of a cell, .8 in a whole one, .1 and 0 in one bin of a cell.
    assert found.calibration_error.value == pytest.approx((0.3 + 0.8 + 0.15 + 0.05) / 3)


def test_review_is_scored_as_by_hand() -> None:
    """All are accepted here; wrong predictions rank as less certain in five of six pairs."""
    found = score_predictions(RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(200)).review
    assert found.accepted.value == 1
    assert found.accepted_accuracy is not None
    assert found.accepted_accuracy.value == pytest.approx(3 / 5)
    # In order of uncertainty: right 1.0, right .9, wrong .8, right .7, wrong .6.
    assert found.accuracy_at_80.value == pytest.approx(3 / 4)
    assert found.mistake_auroc == pytest.approx(5 / 6)
    assert [point.coverage for point in found.curve][:2] == [0.05, 0.1]


def test_nothing_accepted_has_no_accuracy() -> None:
    """A rule that sends everything to a person is told as that."""
    found = score_predictions(
        RECORDS, PROBABILITIES, UNCERTAINTIES + 1.5, CLASSES, config(200)
    ).review
    assert (found.accepted.value, found.accepted_accuracy) == (0, None)


def test_precision_is_told_at_the_prevalence_of_the_config() -> None:
    """Shares need not sum to one; without them there is only precision at equal shares."""
    plain = score_predictions(RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(100))
    assert (plain.prevalence, plain.typical_precision) == ({}, {})
    assert plain.precision["B"].value == pytest.approx(1 / (1 + 1 / 3))
    typical = score_predictions(
        RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(100, A=6, B=2, C=2)
    )
    assert typical.prevalence == {"A": 0.6, "B": 0.2, "C": 0.2}
    assert typical.typical_precision["B"].value == pytest.approx(0.2 / (0.2 + 0.6 / 3))


def test_the_interval_is_over_cells() -> None:
    """A has two cells, one half right and one wrong: little is known, copies or not."""
    once = score_predictions(
        RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(400)
    ).sensitivity["A"]
    often = score_predictions(
        RECORDS * 20,
        np.tile(PROBABILITIES, (20, 1)),
        np.tile(UNCERTAINTIES, 20),
        CLASSES,
        config(400),
    ).sensitivity["A"]
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert once.low == 0
    assert once.high == pytest.approx(0.92, abs=0.01)


def right_cells(cells: int, copies: int = 4) -> Scores:
    """So many cells in turn of the three classes, all answered rightly and alike."""
    labels = [CLASSES[cell % 3] for cell in range(cells) for _ in range(copies)]
    records = [image(label, str(n // copies)) for n, label in enumerate(labels)]
    probabilities = np.array(
        [[0.98 if label == name else 0.01 for name in CLASSES] for label in labels]
    )
    return score_predictions(
        records, probabilities, np.zeros(len(records)), CLASSES, config(1000, A=1, B=2, C=7)
    )


def every_interval(unit: UnitScores) -> dict[str, Interval]:
    """All that an evaluation prints with two ends."""
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
def test_nothing_wrong_is_not_certainty(cells: int) -> None:
    """No interval that is shown lacks width, per image or per cell, also with one cell a class."""
    found = right_cells(cells)
    for unit in (found, found.by_cell):
        for name, one in every_interval(unit).items():
            assert one.low <= one.value <= one.high, name
            assert one.high - one.low > 0.15, name
        assert len(every_interval(unit)) == 6 + 20 + 4 * 3


def test_four_right_cells_a_class_leave_the_exact_bound_of_each_class() -> None:
    """0.398 for a class, and 1 - 0.602 / sqrt(3) for three, the same per image and per cell."""
    found = right_cells(12)
    for unit in (found, found.by_cell):
        assert unit.sensitivity["A"].low == pytest.approx(0.398, abs=1e-3)
        assert unit.balanced_accuracy.low == pytest.approx(1 - 0.602 / np.sqrt(3), abs=1e-3)


def test_precision_of_a_rare_class_admits_an_unseen_mistake() -> None:
    """Four cells of nobody misnamed: at 1 to 9 one in ten of the others would halve it."""
    found = right_cells(12)
    assert found.typical_precision["A"].value == 1
    assert found.typical_precision["A"].low < 0.2 < found.precision["A"].low


def test_groups_may_hold_several_classes() -> None:
    """A patient's cells of all classes: his images are resampled together."""
    found = right_cells(12)
    records = [image(CLASSES[n % 3], str(n // 12)) for n in range(48)]
    probabilities = np.array([np.eye(3)[n % 3] for n in range(48)])
    patients = score_predictions(records, probabilities, np.zeros(48), CLASSES, config(1000))
    # Four patients, and not four cells of each class: 0.398, where cells have 0.65.
    assert patients.balanced_accuracy.low == pytest.approx(0.398, abs=1e-3)
    assert patients.balanced_accuracy.low < found.balanced_accuracy.low


def test_the_same_answers_have_the_same_figures() -> None:
    """To the bit, so that a retried evaluation is the same artefact."""
    assert right_cells(12) == right_cells(12)


def test_an_evaluation_of_an_earlier_version_can_be_read() -> None:
    """The fields are the same: only what is written into them is another interval."""
    old = right_cells(3).model_dump(mode="json")
    for field in ("accuracy", "balanced_accuracy"):
        old[field] = {"value": 1.0, "low": 1.0, "high": 1.0}
    assert Scores.model_validate(old).balanced_accuracy.low == 1


def test_the_order_of_images_does_not_matter() -> None:
    """Workers that read packs in another order publish the same report."""
    order = [4, 1, 3, 0, 2]
    shuffled = score_predictions(
        [RECORDS[n] for n in order],
        PROBABILITIES[order],
        UNCERTAINTIES[order],
        CLASSES,
        config(100),
    )
    straight = score_predictions(RECORDS, PROBABILITIES, UNCERTAINTIES, CLASSES, config(100))
    assert shuffled.confusion == straight.confusion
    assert shuffled.balanced_accuracy.value == pytest.approx(straight.balanced_accuracy.value)
    assert shuffled.balanced_accuracy.low == pytest.approx(straight.balanced_accuracy.low)


def patient(cell: str, label: str, group: str) -> Record:
    return Record(sha256="", label=label, file="", archive="", group=group, cell=cell)


PATIENTS = [
    patient(cell, label, group)
    for cell, label, group in ("1A1", "1A1", "2B1", "3A2", "4B2", "4B2", "5B3")
]
SHARES = np.array(
    [
        [0.9, 0.1, 0.0],  # cell 1, right
        [0.4, 0.6, 0.0],  # cell 1, outvoted
        [0.7, 0.3, 0.0],  # cell 2, wrong
        [0.8, 0.2, 0.0],  # cell 3, right
        [0.1, 0.9, 0.0],  # cell 4, right
        [0.2, 0.8, 0.0],  # cell 4, right
        [0.3, 0.7, 0.0],  # cell 5, right
    ]
)


def test_a_patients_cells_vote_one_by_one() -> None:
    """Five cells of two classes in three groups: four are named right."""
    found = score_predictions(PATIENTS, SHARES, 2 - 2 * SHARES.max(axis=1), CLASSES, config(200))
    assert (found.images, found.cells, found.groups) == (7, 5, 3)
    assert found.by_cell.confusion == ((2, 0, 0), (1, 2, 0), (0, 0, 0))
    assert found.by_cell.sensitivity["B"].value == pytest.approx(2 / 3)


def test_intervals_resample_patients() -> None:
    """Cells of one patient come and go together, so that their errors are one piece of evidence."""
    rng = np.random.default_rng(3)
    cells = [(f"{p}-{n}", "AB"[n % 2], f"p{p}") for p in range(12) for n in range(20)]
    hard = rng.random(12) < 0.4
    right = np.array([0.5 if hard[n // 20] else 0.95 for n in range(240)]) > rng.random(240)
    truth = np.array([label == "B" for _, label, _ in cells], np.int64)
    shares = np.eye(3)[np.where(right, truth, 1 - truth)] * 0.8 + 0.2 / 3
    whole, alone = (
        score_predictions(
            [
                patient(cell, label, group if by == "group" else cell)
                for cell, label, group in cells
            ],
            shares,
            np.zeros(240),
            CLASSES,
            config(400),
        ).by_cell.balanced_accuracy
        for by in ("group", "cell")
    )
    assert whole.value == pytest.approx(alone.value)
    assert whole.high - whole.low > 1.5 * (alone.high - alone.low)


def test_a_cell_under_two_labels_is_a_cell_of_each() -> None:
    """An archive that is only scored passes no data gate: no image decides for the others."""
    records = [patient("1", "A", "g"), patient("1", "B", "g"), patient("2", "B", "h")]
    shares = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.0, 1.0, 0.0]])
    found = score_predictions(records, shares, np.zeros(3), CLASSES, config(100))
    assert found.cells == 3
    assert found.by_cell.confusion == ((1, 0, 0), (1, 1, 0), (0, 0, 0))


def test_where_groups_are_cells_both_columns_say_the_same() -> None:
    """Records of earlier versions, without a cell, are scored as they were."""
    named = [r.model_copy(update={"cell": f"c{r.group}"}) for r in RECORDS]
    arguments = (PROBABILITIES, UNCERTAINTIES, CLASSES, config(100))
    assert score_predictions(named, *arguments) == score_predictions(RECORDS, *arguments)


def test_nothing_to_score_is_refused() -> None:
    """An empty test part is told as one."""
    with pytest.raises(InvalidInputError, match="nothing to score"):
        score_predictions([], np.empty((0, 3)), np.empty(0), CLASSES, config(100))
