"""What links between images say about labels, given names and parts."""

from pipeline.config import DataGateConfig
from pipeline.records import Link, Record
from pipeline.steps.cells.contradictions import cells_left, contradicted_returns, disputed, examine
from pipeline.steps.cells.data_gate import gate_rules


def test_links_are_sorted_by_what_they_contradict() -> None:
    """Labels, given names and the locked part; a locked image from elsewhere has no label."""
    records = [
        _record("a", "ROUND"),
        _record("b", "LOBED"),
        _record("c", "ROUND", "slide 1"),
        _record("d", "ROUND", "slide 2"),
        _record("e", ""),
    ]
    links = [_link("a", "b", 40), _link("c", "d", 30), _link("d", "e", 20)]
    found = examine(records, links, {"e"})
    assert found.two_labels == links[:1]
    assert found.named_apart == links[1:2]
    assert found.of_locked == links[2:]
    assert found.weakest == links[::-1]


def test_a_given_name_may_cover_many_cells() -> None:
    """A patient has cells of all classes: only images linked to each other are one cell."""
    records = [
        _record(name, label, "patient", cell=name) for name, label in ("aR", "bL", "cR", "dL")
    ]
    aside = disputed(records, [_link("a", "b", 40)])
    assert [image.sha256 for image in aside] == ["a", "b"]


def test_a_given_cell_under_two_labels_is_disputed() -> None:
    """Whoever names a cell says that its images show one; no link need be found between them."""
    records = [_record("a", "R", cell="1"), _record("b", "L", cell="1"), _record("c", "L")]
    assert [image.sha256 for image in disputed(records, [])] == ["a", "b"]


def test_cells_are_counted_without_those_set_aside() -> None:
    """What is left of each class decides whether it can be split."""
    records = [
        _record(name, label, cell=cell) for name, label, cell in ("aR1", "bR1", "cR2", "dL3")
    ]
    aside = disputed([_record("c", "R", cell="2"), _record("x", "L", cell="2")], [])
    assert cells_left(records, aside, ("R", "L", "T")) == {"R": 1, "L": 1, "T": 0}


def test_labels_meet_through_a_locked_image() -> None:
    """Two images that show the cell of one that left are one cell, under two labels."""
    records = [_record("a", "R"), _record("b", "L"), _record("e", "")]
    aside = disputed(records, [_link("a", "e", 40), _link("b", "e", 40)])
    assert [image.sha256 for image in aside] == ["a", "b"]


def test_a_returned_label_does_not_outvote_an_archive() -> None:
    """It goes alone, stops nothing under either policy, and the archive's images stay."""
    records = [_record("a", "R"), _record("b", "R"), _record("c", "L", file="returned/c.png")]
    links = [_link("a", "b", 40), _link("b", "c", 40)]
    outvoted = contradicted_returns(records, links)
    assert [(image.sha256, image.reason) for image in outvoted] == [
        ("c", "a returned label, while the archives say R")
    ]
    stop = DataGateConfig.model_validate({"two_labels": "stop", "max_quarantined_share": 0.0})
    assert all(rule.kept for rule in gate_rules(3, [], outvoted, stop))


def test_returned_labels_that_only_contradict_each_other_are_a_dispute() -> None:
    """No archive says who is right, so neither teaches."""
    records = [_record(name, name.upper(), file=f"returned/{name}.png") for name in "ab"]
    links = [_link("a", "b", 40)]
    assert contradicted_returns(records, links) == []
    assert [image.sha256 for image in disputed(records, links)] == ["a", "b"]


def test_a_returned_label_may_take_a_side() -> None:
    """Where archives disagree already, one of their labels is no contradiction of them."""
    records = [_record("a", "R"), _record("b", "L"), _record("c", "L", file="returned/c.png")]
    links = [_link("a", "b", 40), _link("b", "c", 40)]
    assert contradicted_returns(records, links) == []
    assert [image.sha256 for image in disputed(records, links)] == ["a", "b", "c"]


def _record(sha256: str, label: str, hint: str = "", file: str = "", cell: str = "") -> Record:
    return Record(
        sha256=sha256,
        label=label,
        file=file or sha256,
        archive="",
        hint=hint,
        group=hint,
        cell=cell or sha256,
    )


def _link(one: str, other: str, inliers: int) -> Link:
    return Link(one=one, other=other, inliers=inliers)
