"""How much each image counts in training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Record
from pipeline.steps.training.examples import limit_images_per_cell, sample_weights


def image(label: str, group: str) -> Record:
    return Record(sha256="", label=label, file="", archive="", group=group)


def test_a_cell_counts_once_however_often_it_was_copied() -> None:
    """Three copies of one cell weigh as much as the single image of another."""
    weights = sample_weights([image("A", "copied")] * 3 + [image("A", "single")])
    assert weights[:3].sum() == pytest.approx(weights[3])


def test_classes_count_alike() -> None:
    """One cell of a rare class weighs as much as four of a common one."""
    weights = sample_weights([image("A", str(n)) for n in range(4)] + [image("B", "5")])
    assert weights[:4].sum() == pytest.approx(weights[4])


def test_a_cell_under_two_labels_is_a_cell_of_each() -> None:
    """A disputed cell is not split between its classes by chance."""
    weights = sample_weights([image("A", "same"), image("B", "same")])
    assert weights.tolist() == [1, 1]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("xyz")), min_size=1, max_size=30))
def test_weights_keep_the_scale_of_the_loss(images: list[tuple[str, str]]) -> None:
    """Their mean is 1, so that a learning rate means the same for every archive."""
    weights = sample_weights([image(label, group) for label, group in images])
    assert weights.dtype == np.float32
    assert (weights > 0).all()
    assert weights.mean() == pytest.approx(1, rel=1e-5)


@given(st.integers(1, 30))
def test_copies_can_count_for_something(count: int) -> None:
    """With an exponent of a half a cell of n images counts as the root of n single ones."""
    weights = sample_weights([image("A", "copied")] * count + [image("A", "single")], copies=0.5)
    assert weights[:count].sum() == pytest.approx(np.sqrt(count) * weights[-1], rel=1e-4)


def test_few_images_of_a_large_cell_are_checked() -> None:
    """Eight copies of a cell say what a hundred would; smaller cells are kept whole."""
    records = [
        Record(sha256=f"{group}{n:03}", label="A", file="", archive="", group=group)
        for group, count in (("large", 100), ("small", 3))
        for n in range(count)
    ]
    few = limit_images_per_cell(records)
    assert [sum(r.group == group for r in few) for group in ("large", "small")] == [8, 3]


def test_cells_of_one_patient_count_by_themselves() -> None:
    """Copies are of a cell; a patient with many cells weighs as much as they do."""
    patient = [
        Record(sha256=f"{cell}{n}", label="A", file="", archive="", group="p", cell=cell)
        for cell, copies in (("1", 4), ("2", 1))
        for n in range(copies)
    ]
    weights = sample_weights([*patient, image("A", "q")])
    assert weights[:4].sum() == pytest.approx(weights[4])
    assert weights[4] == pytest.approx(weights[5])
    assert len(limit_images_per_cell(patient * 4)) == 8 + 4
