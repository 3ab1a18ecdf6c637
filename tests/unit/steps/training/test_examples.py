"""Sample weights and the limit of images per cell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Record
from pipeline.steps.training.examples import limit_images_per_cell, sample_weights


def image(label: str, group: str) -> Record:
    return Record(sha256="", label=label, file="", archive="", group=group)


def test_all_cells_of_a_class_weigh_the_same() -> None:
    """Three images of one cell weigh as much as the single image of another."""
    weights = sample_weights([image("A", "copied")] * 3 + [image("A", "single")])
    assert weights[:3].sum() == pytest.approx(weights[3])


def test_all_classes_weigh_the_same() -> None:
    """One cell of a rare class weighs as much as four cells of a common one."""
    weights = sample_weights([image("A", str(n)) for n in range(4)] + [image("B", "5")])
    assert weights[:4].sum() == pytest.approx(weights[4])


def test_a_cell_with_two_labels_counts_for_both() -> None:
    """It is one cell of each class."""
    weights = sample_weights([image("A", "same"), image("B", "same")])
    assert weights.tolist() == [1, 1]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from("xyz")), min_size=1, max_size=30))
def test_the_mean_weight_is_one(images: list[tuple[str, str]]) -> None:
    """The scale of the loss does not depend on the archive."""
    weights = sample_weights([image(label, group) for label, group in images])
    assert weights.dtype == np.float32
    assert (weights > 0).all()
    assert weights.mean() == pytest.approx(1, rel=1e-5)


@given(st.integers(1, 30))
def test_copies_is_the_exponent_of_a_cells_weight(count: int) -> None:
    """At 0.5 a cell of n images weighs as much as sqrt(n) cells of one image."""
    weights = sample_weights([image("A", "copied")] * count + [image("A", "single")], copies=0.5)
    assert weights[:count].sum() == pytest.approx(np.sqrt(count) * weights[-1], rel=1e-4)


def test_large_cells_are_limited_to_eight_images() -> None:
    """Smaller cells keep all images."""
    records = [
        Record(sha256=f"{group}{n:03}", label="A", file="", archive="", group=group)
        for group, count in (("large", 100), ("small", 3))
        for n in range(count)
    ]
    limited = limit_images_per_cell(records)
    assert [sum(r.group == group for r in limited) for group in ("large", "small")] == [8, 3]


def test_cells_of_one_patient_weigh_as_separate_cells() -> None:
    """Copies are counted per cell, not per group."""
    patient = [
        Record(sha256=f"{cell}{n}", label="A", file="", archive="", group="p", cell=cell)
        for cell, copies in (("1", 4), ("2", 1))
        for n in range(copies)
    ]
    weights = sample_weights([*patient, image("A", "q")])
    assert weights[:4].sum() == pytest.approx(weights[4])
    assert weights[4] == pytest.approx(weights[5])
    assert len(limit_images_per_cell(patient * 4)) == 8 + 4
