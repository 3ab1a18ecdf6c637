"""What answers are worth, worked out by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.artifacts import Record
from pipeline.errors import InvalidInputError
from pipeline.steps.scoring import answer, scores

if TYPE_CHECKING:
    from tests.conftest import Stage

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


def test_a_toy_is_scored_as_by_hand() -> None:
    """Three of five images, half of the cells of A and all of B."""
    found = scores(RECORDS, PROBABILITIES, CLASSES, draws=200)
    assert (found.images, found.cells) == (5, 3)
    assert found.confusion == ((1, 1, 1), (0, 2, 0), (0, 0, 0))
    assert found.accuracy.value == pytest.approx(3 / 5)
    assert found.balanced_accuracy.value == pytest.approx((1 / 3 + 1) / 2)
    assert found.cell_balanced_accuracy.value == pytest.approx((1 / 2 + 1) / 2)
    assert {name: one.value for name, one in found.sensitivity.items()} == pytest.approx(
        {"A": 1 / 3, "B": 1}
    )
    # One image a bin but for the two right ones in the last: .6, .8 and .7, .9, 1.
    assert found.calibration_error == pytest.approx((0.6 + 0.8 + 0.3 + 0.1) / 5)


def test_the_interval_is_over_cells() -> None:
    """A has two cells, one half right and one wrong: resampled, 0, 1/3 or 1/2."""
    found = scores(RECORDS, PROBABILITIES, CLASSES, draws=400).sensitivity["A"]
    assert (found.low, found.high) == (0, 0.5)


def test_the_order_of_images_does_not_matter() -> None:
    """Workers that read packs in another order publish the same report."""
    order = [4, 1, 3, 0, 2]
    shuffled = scores([RECORDS[n] for n in order], PROBABILITIES[order], CLASSES, draws=100)
    straight = scores(RECORDS, PROBABILITIES, CLASSES, draws=100)
    assert shuffled.confusion == straight.confusion
    assert shuffled.balanced_accuracy.value == pytest.approx(straight.balanced_accuracy.value)
    assert shuffled.balanced_accuracy.low == pytest.approx(straight.balanced_accuracy.low)


def test_nothing_to_score_is_refused() -> None:
    """An empty test part is told as one."""
    with pytest.raises(InvalidInputError, match="nothing to score"):
        scores([], np.empty((0, 3)), CLASSES, draws=100)


def test_images_are_answered_as_the_service_would(
    stage: "Stage", cell_image: Callable[..., bytes], tmp_path: Path
) -> None:
    """One line a prediction, as it is logged, in the order of the images."""
    served = stage.publish(tmp_path / "bundle")
    folder = stage.artifacts.fetch(served, tmp_path / "fetched")
    classes = stage.contract.classes
    images = [(image(classes[kind], str(kind), "f" * 64), cell_image(kind)) for kind in (3, 0)]
    when = datetime(2026, 11, 1, tzinfo=UTC)
    answers = answer(images, served, folder, when)
    assert [said.label for said in answers.predictions] == [classes[3], classes[0]]
    assert answers.probabilities.shape == (2, 4)
    assert answers.crops.shape == (2, 128, 128, 3)
    first = answers.predictions[0]
    assert (first.tag, first.time, first.request_id) == (served.manifest.tag, when, "f" * 16)
    assert list(first.probabilities) == list(classes)
    assert len(first.embedding) == stage.contract.embedding_size
