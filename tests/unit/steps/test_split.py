"""No group is cut, every class is in every part, and what was tested on is never trained on."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config import RunConfig, SplitConfig
from pipeline.errors import ArtifactError, ConflictError, InvalidInputError
from pipeline.records import Record, from_csv, to_csv
from pipeline.run import RunContext
from pipeline.steps.group import LOCKED
from pipeline.steps.lock import extend_lock, read_lock
from pipeline.steps.split import Group, deal, groups_in, split, without_reserve

SHARES = SplitConfig(test_share=0.2, val_share=0.15)
RESERVING = SHARES.model_copy(update={"reserve_share": 0.12})

sizes = st.lists(st.integers(1, 200), min_size=3, max_size=40)
datasets = st.dictionaries(st.sampled_from("ABCD"), sizes, min_size=1).map(
    lambda classes: [
        Group(f"{label}{number}", label, images)
        for label, found in classes.items()
        for number, images in enumerate(found)
    ]
)


@given(datasets, st.text(max_size=5))
def test_every_class_is_in_every_part(groups: list[Group], seed: str) -> None:
    """Every group has one part, and every class has a group in each."""
    parts = deal(groups, SHARES, set(), seed=seed)
    assert set(parts) == {group.id for group in groups}
    for label in {group.label for group in groups}:
        assert {parts[g.id] for g in groups if g.label == label} == {"train", "val", "test"}


@given(datasets, st.randoms(use_true_random=False))
def test_order_does_not_matter(groups: list[Group], random: object) -> None:
    """The same groups in another order are dealt the same way."""
    shuffled = list(groups)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert deal(groups, SHARES, set(), seed="x") == deal(shuffled, SHARES, set(), seed="x")


@given(datasets, st.data())
def test_locked_groups_stay_in_the_test_part(groups: list[Group], data: st.DataObject) -> None:
    """What was once dealt to the test part stays there when the dataset grows."""
    parts = deal(groups, SHARES, set(), seed="x")
    locked = {name for name, part in parts.items() if part == "test"}
    more = data.draw(st.lists(st.integers(1, 200), max_size=20))
    label = groups[0].label
    grown = groups + [Group(f"new{n}", label, images) for n, images in enumerate(more)]
    later = deal(grown, SHARES, locked, seed="x")
    assert {later[name] for name in locked} == {"test"}


@given(st.integers(20, 60), st.integers(1, 30))
def test_shares_are_kept(groups: int, images: int) -> None:
    """With many groups of a size, each part has its share to within a group."""
    parts = list(
        deal([Group(str(n), "A", images) for n in range(groups)], SHARES, set(), seed="x").values()
    )
    assert abs(parts.count("test") - SHARES.test_share * groups) <= 1
    assert abs(parts.count("val") - SHARES.val_share * groups) <= 1


def test_the_default_split_is_what_it_was() -> None:
    """Without a reserve every group has the part that earlier versions gave it."""
    groups = [Group(f"{c}{n}", c, 1 + (n * 7) % 5) for c in "AB" for n in range(14)]
    parts = deal(groups, SplitConfig(), {"A3", "B5"}, seed="pinned")
    chosen = {part: {g for g, p in parts.items() if p == part} for part in ("test", "val")}
    assert chosen["test"] == {"A11", "A3", "A7", "B11", "B5", "B9"}
    assert chosen["val"] == {"A1", "A10", "A13", "B0", "B10", "B13", "B8"}
    assert set(parts.values()) == {"train", "val", "test"}


@given(datasets, st.text(max_size=5))
def test_a_reserve_takes_nothing_from_the_test_part(groups: list[Group], seed: str) -> None:
    """Only spare groups are reserved: every class still has a group in each other part."""
    without = deal(groups, SHARES, set(), seed=seed)
    parts = deal(groups, RESERVING, set(), seed=seed)
    for label in {group.label for group in groups}:
        names = [group.id for group in groups if group.label == label]
        assert {parts[name] for name in names} - {"reserve"} == {"train", "val", "test"}
        assert all((parts[n] == "test") == (without[n] == "test") for n in names)
        assert len(names) > 3 or "reserve" not in {parts[name] for name in names}


@given(st.integers(20, 60), st.integers(1, 30))
def test_a_reserve_has_its_share(groups: int, images: int) -> None:
    """With many groups of a size, to within a group."""
    dealt = deal([Group(str(n), "A", images) for n in range(groups)], RESERVING, set(), seed="x")
    parts = list(dealt.values())
    assert abs(parts.count("reserve") - RESERVING.reserve_share * groups) <= 1
    assert abs(parts.count("val") - SHARES.val_share * groups) <= 1


def test_few_groups_change_sides_when_others_arrive() -> None:
    """Twice as many groups leave nearly all of the first ones in train or validation as before."""
    old = [Group(f"old{n}", "A", 1) for n in range(200)]
    before = deal(old, SHARES, set(), seed="x")
    locked = {name for name, part in before.items() if part == "test"}
    new = [Group(f"new{n}", "A", 1) for n in range(200)]
    after = deal(old + new, SHARES, locked, seed="x")
    assert sum(before[name] != after[name] for name in before) <= 20
    assert sum(before[name] == "train" and after[name] == "test" for name in before) == 0


@pytest.mark.parametrize(
    ("count", "locked"), [(2, set()), (1, set()), (3, {"0", "1"}), (3, {"0", "1", "2"})]
)
def test_too_few_groups_are_refused(count: int, locked: set[str]) -> None:
    """A class that cannot stand in three parts is named, with what was expected."""
    groups = [Group(str(n), "RARE", 5) for n in range(count)]
    with pytest.raises(InvalidInputError, match=r"class RARE has too few groups.*at least 3"):
        deal(groups, SHARES, locked, seed="x")


def test_group_belongs_to_the_class_of_most_images() -> None:
    """A group across class folders counts once, under its majority label."""
    records = _records({"g": ["A", "B", "B"], "h": ["B", "A"]})
    assert groups_in(records) == [Group("g", "B", 3), Group("h", "A", 2)]


@pytest.fixture
def publish(
    store: ArtifactStore, run: RunContext, tmp_path: Path
) -> Callable[..., Artifact[GroupingManifest]]:
    """Publish records as a grouping."""

    def published(records: list[Record], away: Sequence[Record] = ()) -> Artifact[GroupingManifest]:
        folder = tmp_path / "grouping"
        folder.mkdir(exist_ok=True)
        (folder / "records.csv").write_text(to_csv(records, Record))
        (folder / LOCKED).write_text(to_csv(away, Record))
        manifest = GroupingManifest(name="cells", **run.model_dump(), method="given")
        return store.publish(folder, manifest)

    return published


Publish = Callable[..., Artifact[GroupingManifest]]


def test_split_locks_its_test_images(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A smaller run first, then a larger one: the first test images are still test images."""
    grown = _records({f"{c}{n}": [c] * 3 for c in ("ROUND", "LOBED") for n in range(20)})
    small = [record for record in grown if int(record.group[5:]) < 10]
    before, after = (
        _parts(store, split(publish(rows), config, store=store, run=run)) for rows in (small, grown)
    )
    tested = {sha for sha, part in before.items() if part == "test"}
    assert tested
    assert {after[sha] for sha in tested} == {"test"}
    assert read_lock("cells", store).images == {s for s, p in after.items() if p == "test"}


def test_a_class_without_a_reserve_is_named(
    publish: Publish,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its three cells are needed elsewhere; the other class has its share, and it is counted."""
    records = _records({f"ROUND{n}": ["ROUND"] * 2 for n in range(20)})
    records += _records({f"LOBED{n}": ["LOBED"] * 2 for n in range(3)})
    reserving = config.model_copy(update={"split": RESERVING})
    artifact = split(publish(records), reserving, store=store, run=run)
    assert artifact.manifest.counts["reserve_groups"] == 2
    assert "too few cells for a reserve: LOBED" in caplog.text
    assert without_reserve(store.records(artifact)) == ["LOBED"]


def test_locked_image_takes_its_group_along(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """When groups merge later, one locked image makes the whole group a test group."""
    records = _records({f"{c}{n}": [c] * 3 for c in ("ROUND", "LOBED") for n in range(9)})
    extend_lock("cells", read_lock("cells", store), {records[7].sha256: "a"}, store)
    parts = _parts(store, split(publish(records), config, store=store, run=run))
    assert {parts[r.sha256] for r in records if r.group == records[7].group} == {"test"}


def test_locked_image_that_left_takes_its_group_along(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """New images of a locked cell are test images, also when the cell's own archive is gone."""
    records = _records({f"{c}{n}": [c] * 3 for c in ("ROUND", "LOBED") for n in range(9)})
    gone = Record(sha256="gone", label="", file="", archive="b", group=records[7].group)
    extend_lock("cells", read_lock("cells", store), {"gone": "b"}, store)
    parts = _parts(store, split(publish(records, [gone]), config, store=store, run=run))
    assert {parts[r.sha256] for r in records if r.group == gone.group} == {"test"}
    assert read_lock("cells", store).archives["gone"] == "b"


def test_split_is_repeatable(publish: Publish, config: RunConfig, store: ArtifactStore) -> None:
    """Running the step again, by somebody else, lands on the same address."""
    grouping = publish(_records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)}))
    runs = [RunContext.now(name, name) for name in ("first", "second")]
    assert len({split(grouping, config, store=store, run=run).uri for run in runs}) == 1


class _Contended(LocalStore):
    """Lets another run extend the lock right before each of the first writes."""

    def __init__(self, uri: str, others: list[str]) -> None:
        self._uri, self._others = uri, others

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        if uri == self._uri and self._others:
            super().write(uri, f'{{"test": ["{self._others.pop()}"]}}'.encode())
        return super().write(uri, data, if_match=if_match, if_absent=if_absent)


def test_lost_race_is_dealt_again(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """When another run locks images meanwhile, those are test images here too."""
    records = _records({f"{c}{n}": [c] * 2 for c in ("ROUND", "LOBED") for n in range(9)})
    grouping = publish(records)
    alone = _parts(store, split(grouping, config, store=store, run=run))
    Path(f"{store.root}/locks/cells.json").unlink()
    rival = next(sha for sha, part in alone.items() if part == "train")
    contended = _Contended(f"{store.root}/locks/cells.json", [rival])
    racing = ArtifactStore(contended, store.root)
    assert _parts(racing, split(grouping, config, store=racing, run=run))[rival] == "test"
    assert rival in read_lock("cells", store).images


def test_endless_race_gives_up(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A lock that never stands still is a conflict, not an endless loop."""
    grouping = publish(_records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)}))
    contended = _Contended(f"{store.root}/locks/cells.json", [str(n) for n in range(99)])
    with pytest.raises(ConflictError, match="test lock of cells changed"):
        split(grouping, config, store=ArtifactStore(contended, store.root), run=run)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"test": 5}'])
def test_damaged_lock_is_never_taken_for_an_empty_one(body: bytes, store: ArtifactStore) -> None:
    """A lock that cannot be read stops the run: forgetting it would leak the test part."""
    store.objects.write(f"{store.root}/locks/cells.json", body)
    with pytest.raises(ArtifactError, match="is damaged"):
        read_lock("cells", store)


def test_lock_of_the_first_version_is_read(store: ArtifactStore) -> None:
    """Hashes that were locked before archives were noted are still locked."""
    store.objects.write(f"{store.root}/locks/cells.json", b'{"test": ["a", "b"]}')
    assert read_lock("cells", store).images == {"a", "b"}


def _records(groups: dict[str, list[str]]) -> list[Record]:
    return [
        Record(sha256=f"{group}-{n}", label=label, file=f"{group}/{n}", archive="a", group=group)
        for group, labels in groups.items()
        for n, label in enumerate(labels)
    ]


def _parts(store: ArtifactStore, artifact: object) -> dict[str, str]:
    records = from_csv(store.read(artifact, "records.csv").decode(), Record)  # type: ignore[arg-type]
    return {record.sha256: record.part for record in records}
