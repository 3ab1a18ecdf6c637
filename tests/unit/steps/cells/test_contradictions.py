"""Contradictions between matched images: labels, named groups and parts."""

from pipeline.config.data_gate_limits import DataGateConfig
from pipeline.records import ImageMatch, Record
from pipeline.steps.cells.contradictions import (
    cells_per_class,
    cells_under_two_labels,
    contradicted_returns,
    find_contradictions,
)
from pipeline.steps.cells.data_gate import label_rules


def test_matches_are_sorted_by_what_they_contradict() -> None:
    """Labels, named groups and the locked part; a locked image of another archive has no label."""
    records = [
        _record("a", "ROUND"),
        _record("b", "LOBED"),
        _record("c", "ROUND", "slide 1"),
        _record("d", "ROUND", "slide 2"),
        _record("e", ""),
    ]
    matches = [_match("a", "b", 40), _match("c", "d", 30), _match("d", "e", 20)]
    found = find_contradictions(records, matches, {"e"})
    assert found.two_labels == matches[:1]
    assert found.two_groups == matches[1:2]
    assert found.with_locked == matches[2:]
    assert found.weakest == matches[::-1]


def test_a_named_group_may_have_cells_of_all_classes() -> None:
    """Only matched images of a patient are one cell."""
    records = [
        _record(name, label, "patient", cell=name) for name, label in ("aR", "bL", "cR", "dL")
    ]
    quarantined = cells_under_two_labels(records, [_match("a", "b", 40)])
    assert [image.sha256 for image in quarantined] == ["a", "b"]


def test_a_named_cell_under_two_labels_is_quarantined() -> None:
    """Images with one cell name are one cell, also without a match between them."""
    records = [_record("a", "R", cell="1"), _record("b", "L", cell="1"), _record("c", "L")]
    assert [image.sha256 for image in cells_under_two_labels(records, [])] == ["a", "b"]


def test_quarantined_cells_are_not_counted() -> None:
    """The remaining cells of each class decide whether it can be split."""
    records = [
        _record(name, label, cell=cell) for name, label, cell in ("aR1", "bR1", "cR2", "dL3")
    ]
    disputed = [_record("c", "R", cell="2"), _record("x", "L", cell="2")]
    quarantined = cells_under_two_labels(disputed, [])
    assert cells_per_class(records, quarantined, ("R", "L", "T")) == {"R": 1, "L": 1, "T": 0}


def test_a_locked_image_connects_two_labels() -> None:
    """Two images that match the same locked image are one cell, under two labels."""
    records = [_record("a", "R"), _record("b", "L"), _record("e", "")]
    quarantined = cells_under_two_labels(records, [_match("a", "e", 40), _match("b", "e", 40)])
    assert [image.sha256 for image in quarantined] == ["a", "b"]


def test_a_returned_label_does_not_overrule_an_archive() -> None:
    """Only the returned image is quarantined, and no rule is broken under either policy."""
    records = [_record("a", "R"), _record("b", "R"), _record("c", "L", file="returned/c.png")]
    matches = [_match("a", "b", 40), _match("b", "c", 40)]
    contradicted = contradicted_returns(records, matches)
    assert [(image.sha256, image.reason) for image in contradicted] == [
        ("c", "the returned label contradicts the archives, which say R")
    ]
    stop = DataGateConfig.model_validate({"two_labels": "stop", "max_quarantined_share": 0.0})
    assert all(rule.passed for rule in label_rules(3, [], contradicted, stop))


def test_returned_labels_that_contradict_each_other_quarantine_the_cell() -> None:
    """Without an archive's label, all images of the cell are quarantined."""
    records = [_record(name, name.upper(), file=f"returned/{name}.png") for name in "ab"]
    matches = [_match("a", "b", 40)]
    assert contradicted_returns(records, matches) == []
    assert [image.sha256 for image in cells_under_two_labels(records, matches)] == ["a", "b"]


def test_archives_that_disagree_quarantine_the_whole_cell() -> None:
    """A returned label that agrees with one of two archive labels contradicts neither."""
    records = [_record("a", "R"), _record("b", "L"), _record("c", "L", file="returned/c.png")]
    matches = [_match("a", "b", 40), _match("b", "c", 40)]
    assert contradicted_returns(records, matches) == []
    assert [image.sha256 for image in cells_under_two_labels(records, matches)] == ["a", "b", "c"]


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


def _match(one: str, other: str, inliers: int) -> ImageMatch:
    return ImageMatch(one=one, other=other, inliers=inliers)
