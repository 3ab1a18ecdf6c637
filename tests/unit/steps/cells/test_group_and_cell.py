"""Group and cell of an image, from the archive's names and the matches."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Record
from pipeline.steps.cells.group_and_cell import assign_group_and_cell, sets_to_compare
from pipeline.steps.cells.matching.near_duplicates import MatchedPair

names = st.sampled_from(("", "", "p1", "p2"))
pairs = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12)


def test_names_come_from_the_smallest_hash() -> None:
    """Unnamed groups and cells take their smallest image hash, in any order of the records."""
    named = assign_group_and_cell([_record(letter) for letter in "bac"], [MatchedPair(0, 1, 20)])
    assert [record.group for record in named] == ["g" + "a" * 12, "g" + "a" * 12, "g" + "c" * 12]
    assert [record.cell for record in named] == ["c" + "a" * 12, "c" + "a" * 12, "c" + "c" * 12]


def test_a_copy_takes_the_group_of_its_match() -> None:
    """An unnamed image takes the group of its match; a named group is never changed."""
    records = [_record("a"), _record("b", "slide 2"), _record("c", "slide 1"), _record("d")]
    named = assign_group_and_cell(records, [MatchedPair(0, 1, 20), MatchedPair(1, 2, 20)])
    assert [record.group for record in named[:3]] == ["slide 1", "slide 2", "slide 1"]


def test_matches_define_the_cells_of_a_patient() -> None:
    """Within a named group, images without a match are cells of their own."""
    records = [_record(letter, "patient") for letter in "abcd"]
    named = assign_group_and_cell(records, [MatchedPair(0, 2, 20)])
    assert {record.group for record in named} == {"patient"}
    assert [record.cell[1] for record in named] == ["a", "b", "a", "d"]


def test_a_named_cell_lies_within_its_group() -> None:
    """A cell name in two groups is two cells; a named cell without a group is its own group."""
    records = [
        _record("a", "p1", "1"),
        _record("b", "p1", "1"),
        _record("c", "p2", "1"),
        _record("d", "", "loner"),
    ]
    named = assign_group_and_cell(records, [])
    assert [(record.group, record.cell[1]) for record in named] == [
        ("p1", "a"),
        ("p1", "a"),
        ("p2", "c"),
        ("loner", "d"),
    ]


def test_a_copy_takes_the_cell_of_its_match() -> None:
    """Copies of two unmatched images of one named cell belong to that cell."""
    records = [
        _record(letter, "p", cell)
        for letter, cell in zip("abcde", ["1", "1", "", "", "2"], strict=True)
    ]
    named = assign_group_and_cell(records, [MatchedPair(0, 2, 20), MatchedPair(1, 3, 20)])
    assert [record.cell[1] for record in named] == ["a", "a", "a", "a", "e"]


@given(st.lists(st.tuples(names, names), min_size=12, max_size=12), pairs)
def test_every_cell_lies_within_one_group(
    given_names: list[tuple[str, str]], matched: list[tuple[int, int]]
) -> None:
    """For any names and matches: a cell has one group, and no name is changed."""
    records = [
        _record(letter, group, cell)
        for letter, (group, cell) in zip("abcdefghijkl", given_names, strict=True)
    ]
    named = assign_group_and_cell(records, [MatchedPair(*pair, 20) for pair in matched])
    assert len({record.cell for record in named}) == len({(r.group, r.cell) for r in named})
    for record in named:
        assert record.group == record.named_group or not record.named_group
        assert record.cell[1:] <= record.sha256
    given_cells = {(r.group, r.cell_hint): r.cell for r in named if r.cell_hint}
    assert all(given_cells[r.group, r.cell_hint] == r.cell for r in named if r.cell_hint)


def test_images_with_a_group_are_compared_within_it() -> None:
    """A group of one image, or one in which every cell is named, is not searched."""
    records = [
        _record("a", "p1"),
        _record("b", "p2"),
        _record("c", "p1", "1"),
        _record("d", "p3", "1"),
        _record("e", "p3", "2"),
    ]
    assert sets_to_compare(records) == [[0, 2]]


def test_an_image_without_a_group_is_compared_with_all() -> None:
    """All images are compared, since it may show a cell of any group."""
    records = [_record("a", "p1"), _record("b"), _record("c", "p1", "1")]
    assert sets_to_compare(records) == [[0, 1, 2]]


def _record(letter: str, hint: str = "", cell: str = "") -> Record:
    return Record(
        sha256=letter * 64, label="ROUND", file=letter, archive="", hint=hint, cell_hint=cell
    )
