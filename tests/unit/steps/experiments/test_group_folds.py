"""Folds for cross-validation: groups are never divided, and each fold has every class."""

from collections import Counter

import pytest

from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.steps.experiments.group_folds import assign_folds, parts_of

RECORDS = [
    Record(sha256=f"{label}{cell}{copy}", label=label, file="", archive="", group=f"{label}{cell}")
    for label, cells in (("ROUND", 11), ("LOBED", 24))
    for cell in range(cells)
    for copy in range(3)
]


def test_every_class_has_its_share_of_cells_in_every_fold() -> None:
    """Folds of a class differ by one cell at most."""
    folds = assign_folds(RECORDS, 5)
    for label, cells in (("ROUND", 11), ("LOBED", 24)):
        counts = Counter(fold for group, fold in folds.items() if group.startswith(label))
        assert set(counts) == set(range(5))
        assert set(counts.values()) <= {cells // 5, cells // 5 + 1}


def test_folds_do_not_depend_on_the_order_of_images() -> None:
    """The same groups get the same folds."""
    assert assign_folds(RECORDS[::-1], 4) == assign_folds(RECORDS, 4)


@pytest.mark.parametrize("fold", range(5))
def test_no_cell_is_trained_on_and_scored(fold: int) -> None:
    """The three parts are disjoint and complete, and most images are in `train`."""
    parts = parts_of(RECORDS, assign_folds(RECORDS, 5), fold, 1.0)
    groups = [{record.group for record in part} for part in parts.values()]
    assert sum(len(group) for group in groups) == len(set.union(*groups)) == 35
    assert len(parts["train"]) > len(RECORDS) / 2
    assert {record.label for record in parts["test"]} == {"ROUND", "LOBED"}


def test_each_cell_is_scored_once() -> None:
    """Over all folds every image is in `test` exactly once."""
    folds = assign_folds(RECORDS, 5)
    scored = Counter(
        record.sha256 for fold in range(5) for record in parts_of(RECORDS, folds, fold, 1.0)["test"]
    )
    assert set(scored.values()) == {1}
    assert len(scored) == len(RECORDS)


def test_a_share_limits_training_and_not_scoring() -> None:
    """The groups of a smaller share are a subset of those of a larger one."""
    folds = assign_folds(RECORDS, 5)
    whole, half, third = (parts_of(RECORDS, folds, 0, share) for share in (1.0, 0.5, 0.3))
    assert whole["test"] == half["test"] == third["test"]

    def fitted(parts: dict[str, list[Record]]) -> dict[str, set[str]]:
        records = parts["train"] + parts["val"]
        return {
            label: {record.group for record in records if record.label == label}
            for label in ("ROUND", "LOBED")
        }

    for label, cells in (("ROUND", 8), ("LOBED", 19)):
        assert fitted(third)[label] < fitted(half)[label] < fitted(whole)[label]
        assert len(fitted(whole)[label]) == cells
        assert cells / 2 <= len(fitted(half)[label]) <= cells / 2 + 1


@pytest.mark.parametrize("folds", [2, 12])
def test_too_few_or_too_many_folds_are_refused(folds: int) -> None:
    """The number of folds is limited by the class with the fewest groups."""
    with pytest.raises(InvalidInputError, match="3 to 11 folds"):
        assign_folds(RECORDS, folds)


def test_patients_with_a_rare_class_go_to_different_folds() -> None:
    """Nine patients have neutrophils, four also an eosinophil: each fold gets one of the four."""
    records = [
        Record(sha256=f"{n}{label}", label=label, file="", archive="", group=f"p{n}")
        for n in range(9)
        for label in ("N", *(("E",) if n < 4 else ()))
    ]
    folds = assign_folds(records, 4)
    assert {folds[f"p{n}"] for n in range(4)} == {0, 1, 2, 3}
    with pytest.raises(InvalidInputError, match="3 to 4 folds"):
        assign_folds(records, 5)
