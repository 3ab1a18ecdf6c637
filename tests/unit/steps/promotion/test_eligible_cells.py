"""Selection of the test cells on which two models may be compared."""

from pipeline.records import Record
from pipeline.steps.promotion.eligible_cells import select_eligible_cells

CLASSES = ("ROUND", "LOBED")


def record(sha256: str, group: str, label: str = "ROUND") -> Record:
    return Record(sha256=sha256, label=label, file=sha256, archive="", group=group)


TEST = [record("a1", "a"), record("a2", "a"), record("b1", "b"), record("c1", "c", "LOBED")]


def test_cells_that_neither_model_has_seen_are_eligible() -> None:
    """All records are returned, and cells are counted by class."""
    cells, eligible = select_eligible_cells(TEST, [record("x", "x")], [], CLASSES)
    assert eligible == TEST
    assert (cells.images, cells.fair) == (4, {"ROUND": 2, "LOBED": 1})
    assert (cells.leaked, cells.spent) == ((), {"ROUND": 0, "LOBED": 0})


def test_one_seen_image_excludes_its_cell() -> None:
    """The champion was trained on a copy."""
    cells, eligible = select_eligible_cells(TEST, [], [record("a2", "other")], CLASSES)
    assert [r.sha256 for r in eligible] == ["b1", "c1"]
    assert cells.spent == {"ROUND": 1, "LOBED": 0}
    assert cells.leaked == ()


def test_a_copy_across_the_split_is_found_by_hash_or_by_group() -> None:
    """The challenger was trained on an image, or on a group of the same name."""
    cells, eligible = select_eligible_cells(
        TEST, [record("a1", ""), record("new", "c", "LOBED")], [], CLASSES
    )
    assert cells.leaked == ("a", "c")
    assert [r.sha256 for r in eligible] == ["b1"]


def test_a_class_without_cells_counts_zero() -> None:
    """The key is not missing."""
    cells, _ = select_eligible_cells(TEST, [record("c1", "c")], [record("c1", "c")], CLASSES)
    assert cells.fair["LOBED"] == 0
    assert cells.spent["LOBED"] == 0


def test_images_without_a_prediction_of_the_champion_are_excluded() -> None:
    """Other images of their cells stay eligible."""
    cells, eligible = select_eligible_cells(TEST, [], [], CLASSES, unanswered={"a1", "b1"})
    assert [r.sha256 for r in eligible] == ["a2", "c1"]
    assert cells.fair == {"ROUND": 1, "LOBED": 1}


def test_one_seen_cell_excludes_all_cells_of_its_patient() -> None:
    """The cells of other patients are counted one by one."""
    test = [
        record(f"{patient}{n}", patient).model_copy(update={"cell": f"{patient}{n}"})
        for patient in ("p1", "p2")
        for n in range(3)
    ]
    cells, eligible = select_eligible_cells(test, [], [record("p10", "elsewhere")], CLASSES)
    assert {r.group for r in eligible} == {"p2"}
    assert (cells.fair["ROUND"], cells.spent["ROUND"]) == (3, 3)
