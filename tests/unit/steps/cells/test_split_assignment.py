"""Assignment: every class in every part, and locked groups always in the test part."""

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.split_shares import SplitConfig
from pipeline.errors import InvalidInputError
from pipeline.records import Record
from pipeline.steps.cells.split_assignment import Group, assign, groups_in

SHARES = SplitConfig(test_share=0.2, val_share=0.15)
RESERVING = SHARES.model_copy(update={"reserve_share": 0.12})

sizes = st.lists(st.integers(1, 200), min_size=3, max_size=40)
datasets = st.dictionaries(st.sampled_from("ABCD"), sizes, min_size=1).map(
    lambda classes: [
        Group(f"{label}{number}", {label: images})
        for label, found in classes.items()
        for number, images in enumerate(found)
    ]
)


@given(datasets, st.text(max_size=5))
def test_every_class_is_in_every_part(groups: list[Group], seed: str) -> None:
    """Every group has one part, and every class has a group in each part."""
    parts = assign(groups, SHARES, set(), seed=seed)
    assert set(parts) == {group.id for group in groups}
    for label in {group.label for group in groups}:
        assert {parts[g.id] for g in groups if g.label == label} == {"train", "val", "test"}


@given(datasets, st.randoms(use_true_random=False))
def test_order_does_not_matter(groups: list[Group], random: object) -> None:
    """The same groups in another order are assigned to the same parts."""
    shuffled = list(groups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assign(groups, SHARES, set(), seed="x") == assign(shuffled, SHARES, set(), seed="x")


@given(datasets, st.data())
def test_locked_groups_stay_in_the_test_part(groups: list[Group], data: st.DataObject) -> None:
    """A group of the test part stays there when the dataset grows."""
    parts = assign(groups, SHARES, set(), seed="x")
    locked = {name for name, part in parts.items() if part == "test"}
    more = data.draw(st.lists(st.integers(1, 200), max_size=20))
    label = groups[0].label
    grown = groups + [Group(f"new{n}", {label: images}) for n, images in enumerate(more)]
    later = assign(grown, SHARES, locked, seed="x")
    assert {later[name] for name in locked} == {"test"}


@given(st.integers(20, 60), st.integers(1, 30))
def test_shares_are_kept(groups: int, images: int) -> None:
    """With many groups of equal size, each part has its share, plus or minus one group."""
    parts = list(
        assign(
            [Group(str(n), {"A": images}) for n in range(groups)], SHARES, set(), seed="x"
        ).values()
    )
    assert abs(parts.count("test") - SHARES.test_share * groups) <= 1
    assert abs(parts.count("val") - SHARES.val_share * groups) <= 1


@given(datasets, st.text(max_size=5))
def test_a_reserve_takes_nothing_from_the_test_part(groups: list[Group], seed: str) -> None:
    """Only spare groups are reserved: every class still has a group in each other part."""
    without = assign(groups, SHARES, set(), seed=seed)
    parts = assign(groups, RESERVING, set(), seed=seed)
    for label in {group.label for group in groups}:
        names = [group.id for group in groups if group.label == label]
        assert {parts[name] for name in names} - {"reserve"} == {"train", "val", "test"}
        assert all((parts[n] == "test") == (without[n] == "test") for n in names)
        assert len(names) > 3 or "reserve" not in {parts[name] for name in names}


@given(st.integers(20, 60), st.integers(1, 30))
def test_a_reserve_has_its_share(groups: int, images: int) -> None:
    """With many groups of equal size, plus or minus one group."""
    assigned = assign(
        [Group(str(n), {"A": images}) for n in range(groups)], RESERVING, set(), seed="x"
    )
    parts = list(assigned.values())
    assert abs(parts.count("reserve") - RESERVING.reserve_share * groups) <= 1
    assert abs(parts.count("val") - SHARES.val_share * groups) <= 1


def test_few_groups_change_their_part_when_others_arrive() -> None:
    """When the number of groups doubles, nearly all of the first ones keep their part."""
    old = [Group(f"old{n}", {"A": 1}) for n in range(200)]
    before = assign(old, SHARES, set(), seed="x")
    locked = {name for name, part in before.items() if part == "test"}
    new = [Group(f"new{n}", {"A": 1}) for n in range(200)]
    after = assign(old + new, SHARES, locked, seed="x")
    assert sum(before[name] != after[name] for name in before) <= 20
    assert sum(before[name] == "train" and after[name] == "test" for name in before) == 0


@pytest.mark.parametrize(
    ("count", "locked"), [(2, set()), (1, set()), (3, {"0", "1"}), (3, {"0", "1", "2"})]
)
def test_too_few_groups_are_rejected(count: int, locked: set[str]) -> None:
    """The error names the class that has too few groups for three parts."""
    groups = [Group(str(n), {"RARE": 5}) for n in range(count)]
    with pytest.raises(InvalidInputError, match=r"class RARE has too few groups.*at least 3"):
        assign(groups, SHARES, locked, seed="x")


def test_every_class_with_too_few_groups_is_named() -> None:
    """One refusal has the groups of all of them, so that no second run finds the next."""
    common = [Group(f"c{n}", {"COMMON": 5}) for n in range(9)]
    rare = [Group("p1", {"RARE": 5}), Group("p2", {"RARE": 5}), Group("p3", {"SCARCE": 9})]
    with pytest.raises(InvalidInputError) as error:
        assign([*common, *rare], SHARES, set(), seed="x")
    assert "class RARE has too few groups to split" in error.value.message
    assert "class SCARCE has too few groups to split" in error.value.message
    assert "COMMON" not in error.value.message
    assert error.value.received == (
        "RARE 2 groups, 0 of them locked; SCARCE 1 groups, 0 of them locked"
    )


def test_groups_of_one_class_are_assigned_as_by_version_0_1() -> None:
    """Parts of 40 datasets, and of each with ten more groups, equal those of version 0.1."""
    rng, parts = np.random.default_rng(14), []
    for case in range(40):
        sizes = {c: rng.integers(1, 60, rng.integers(3, 30)) for c in "ABCD"[: case % 4 + 1]}
        groups = [
            Group(f"{label}{n}", {label: int(images)})
            for label, found in sizes.items()
            for n, images in enumerate(found)
        ]
        first = assign(groups, SplitConfig(), set(), seed=f"s{case}")
        locked = {name for name, part in first.items() if part == "test"}
        more = [
            Group(f"new{n}", {"A": int(images)}) for n, images in enumerate(rng.integers(1, 60, 10))
        ]
        second = assign([*groups, *more], SplitConfig(), locked, seed=f"s{case}")
        parts.append([sorted(first.items()), sorted(second.items())])
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    assert digest == "4a4f7ca9aa4727ee445272da8a7f9f4ad1f3293053f7a34f432def3b72d84a9a"


patients = st.lists(
    st.dictionaries(st.sampled_from("ABCD"), st.integers(1, 40), min_size=1),
    min_size=1,
    max_size=30,
).map(lambda found: [Group(f"p{n}", images) for n, images in enumerate(found)])


@given(patients, st.sets(st.integers(0, 29), max_size=4))
def test_patients_leave_no_class_out_of_a_part(groups: list[Group], numbers: set[int]) -> None:
    """Every class of groups with mixed classes is in every part, or the error names it."""
    locked = {f"p{n}" for n in numbers} & {group.id for group in groups}
    classes = {label for group in groups for label in group.images}
    rejected = ""
    try:
        parts = assign(groups, SHARES, locked, seed="x")
    except InvalidInputError as error:
        rejected = error.message.split()[1]
    if rejected:
        assert rejected in classes
        return
    assert set(parts) == {group.id for group in groups}
    assert {parts[name] for name in locked} <= {"test"}
    for label in classes:
        assert {parts[g.id] for g in groups if label in g.images} == {"train", "val", "test"}


def test_a_class_that_is_no_groups_majority_is_in_every_part() -> None:
    """Ten patients with many neutrophils; three of them have one eosinophil each."""
    groups = [Group(f"p{n}", {"N": 40} | ({"E": 1} if n < 3 else {})) for n in range(10)]
    parts = assign(groups, SHARES, set(), seed="x")
    assert {parts[f"p{n}"] for n in range(3)} == {"train", "val", "test"}
    with pytest.raises(InvalidInputError, match="class E has too few groups") as error:
        assign([groups[0], groups[1], *groups[3:]], SHARES, set(), seed="x")
    assert error.value.received == "2 groups, 0 of them locked"


@given(st.lists(st.booleans(), min_size=3, max_size=30))
def test_returned_groups_are_never_in_the_test_part(returned: list[bool]) -> None:
    """Whatever the number of groups with an archive's label; without one, the class is rejected."""
    groups = [Group(str(n), {"A": 2}, {"A": 2} if back else {}) for n, back in enumerate(returned)]
    if all(returned):
        with pytest.raises(InvalidInputError, match="none is left for test"):
            assign(groups, SHARES, set(), seed="x")
        return
    parts = assign(groups, SHARES, set(), seed="x")
    assert set(parts.values()) == {"train", "val", "test"}
    assert not any(part == "test" and returned[int(name)] for name, part in parts.items())


def test_returned_images_do_not_enlarge_the_test_part() -> None:
    """The test share counts only images with an archive's label."""
    made = [Group(f"m{n}", {"A": 5}) for n in range(50)]
    back = [Group(f"r{n}", {"A": 5}, {"A": 5}) for n in range(200)]
    parts = assign([*made, *back], SHARES, set(), seed="x")
    assert list(parts.values()).count("test") == 10


def test_groups_count_images_by_class() -> None:
    """A group in several class folders counts for each; its label is the most frequent class."""
    rows = [("g", "A", ""), ("g", "B", ""), ("g", "B", "returned/"), ("h", "B", ""), ("h", "A", "")]
    records = [
        Record(sha256=str(n), label=label, file=f"{folder}{n}", archive="", group=group)
        for n, (group, label, folder) in enumerate(rows)
    ]
    first, second = groups_in(records)
    assert (first.id, first.label, first.images) == ("g", "B", {"A": 1, "B": 2})
    assert (first.images_for("B", "train"), first.images_for("B", "test")) == (2, 1)
    assert (second.id, second.label) == ("h", "A")
