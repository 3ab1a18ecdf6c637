"""Which held-out cells may judge."""

from pipeline.records import Record
from pipeline.steps.promotion.eligible_cells import select_eligible_cells

CLASSES = ("ROUND", "LOBED")


def record(sha256: str, group: str, label: str = "ROUND") -> Record:
    return Record(sha256=sha256, label=label, file=sha256, archive="", group=group)


TEST = [record("a1", "a"), record("a2", "a"), record("b1", "b"), record("c1", "c", "LOBED")]


def test_what_nobody_has_seen_is_fair() -> None:
    """All records remain, and cells are counted by class."""
    evidence, fair = select_eligible_cells(TEST, [record("x", "x")], [], CLASSES)
    assert fair == TEST
    assert (evidence.images, evidence.fair) == (4, {"ROUND": 2, "LOBED": 1})
    assert (evidence.leaked, evidence.spent) == ((), {"ROUND": 0, "LOBED": 0})


def test_one_image_seen_spoils_its_cell() -> None:
    """The champion saw a copy, so none of the cell's copies may judge it."""
    evidence, fair = select_eligible_cells(TEST, [], [record("a2", "other")], CLASSES)
    assert [r.sha256 for r in fair] == ["b1", "c1"]
    assert evidence.spent == {"ROUND": 1, "LOBED": 0}
    assert evidence.leaked == ()


def test_a_copy_across_the_split_is_found_by_hash_or_by_group() -> None:
    """What the challenger learned from is no exam for it, whatever the file is called."""
    evidence, fair = select_eligible_cells(
        TEST, [record("a1", ""), record("new", "c", "LOBED")], [], CLASSES
    )
    assert evidence.leaked == ("a", "c")
    assert [r.sha256 for r in fair] == ["b1"]


def test_a_class_without_cells_is_told() -> None:
    """None left is a number, not a missing key."""
    evidence, _ = select_eligible_cells(TEST, [record("c1", "c")], [record("c1", "c")], CLASSES)
    assert evidence.fair["LOBED"] == 0
    assert evidence.spent["LOBED"] == 0


def test_what_the_champion_cannot_be_asked_about_is_not_fair() -> None:
    """Images without its answer leave the cells that have one."""
    evidence, fair = select_eligible_cells(TEST, [], [], CLASSES, unanswered={"a1", "b1"})
    assert [r.sha256 for r in fair] == ["a2", "c1"]
    assert evidence.fair == {"ROUND": 1, "LOBED": 1}


def test_cells_of_a_patient_are_counted_one_by_one() -> None:
    """What was seen of a patient spoils all cells of that patient; those left are counted."""
    test = [
        record(f"{patient}{n}", patient).model_copy(update={"cell": f"{patient}{n}"})
        for patient in ("p1", "p2")
        for n in range(3)
    ]
    evidence, fair = select_eligible_cells(test, [], [record("p10", "elsewhere")], CLASSES)
    assert {r.group for r in fair} == {"p2"}
    assert (evidence.fair["ROUND"], evidence.spent["ROUND"]) == (3, 3)
