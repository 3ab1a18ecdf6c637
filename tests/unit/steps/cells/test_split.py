"""Split: whole groups, every class in every part, and no locked image outside the test part."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, GroupingManifest
from pipeline.config.hyperparameters import TrainConfig
from pipeline.config.run_config import RunConfig
from pipeline.config.split_shares import SplitConfig
from pipeline.errors import ConflictError, InvalidInputError
from pipeline.records import Quarantined, Record, from_csv, to_csv
from pipeline.run_context import RunContext
from pipeline.steps.cells.group import LOCKED
from pipeline.steps.cells.locked_images import LockedImage, extend_lock, read_lock
from pipeline.steps.cells.split import classes_without_reserve, require_folds, split


@pytest.fixture
def publish(
    store: ArtifactStore, run: RunContext, tmp_path: Path
) -> Callable[..., Artifact[GroupingManifest]]:
    """A function that publishes records as a grouping."""

    def published(
        records: list[Record], locked: Sequence[Record] = ()
    ) -> Artifact[GroupingManifest]:
        folder = tmp_path / "grouping"
        folder.mkdir(exist_ok=True)
        (folder / "records.csv").write_text(to_csv(records, Record))
        (folder / LOCKED).write_text(to_csv(locked, Record))
        manifest = GroupingManifest(name="cells", **run.model_dump(), method="given")
        return store.publish(folder, manifest)

    return published


Publish = Callable[..., Artifact[GroupingManifest]]


def test_split_locks_its_test_images(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """The test images of a smaller run are test images of a later, larger run."""
    grown = _records({f"{c}{n}": [c] * 3 for c in ("ROUND", "LOBED") for n in range(20)})
    small = [record for record in grown if int(record.group[5:]) < 10]
    before, after = (
        _parts(store, split(publish(rows), config, store=store, run=run)) for rows in (small, grown)
    )
    tested = {sha for sha, part in before.items() if part == "test"}
    assert tested
    assert {after[sha] for sha in tested} == {"test"}
    assert read_lock("cells", store).hashes == {s for s, p in after.items() if p == "test"}


def test_a_class_without_a_reserve_is_logged(
    publish: Publish,
    config: RunConfig,
    store: ArtifactStore,
    run: RunContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A class of three cells has no reserve; the other class has its share, which is counted."""
    records = _records({f"ROUND{n}": ["ROUND"] * 2 for n in range(20)})
    records += _records({f"LOBED{n}": ["LOBED"] * 2 for n in range(3)})
    reserving = config.model_copy(update={"split": SplitConfig(reserve_share=0.12)})
    artifact = split(publish(records), reserving, store=store, run=run)
    assert artifact.manifest.counts["reserve_groups"] == 2
    assert "no reserve for classes with too few cells: LOBED" in caplog.text
    assert classes_without_reserve(store.records(artifact)) == ["LOBED"]


def test_locked_image_takes_its_group_along(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """One locked image makes its whole group a test group, also after groups merge."""
    records = _records({f"{c}{n}": [c] * 3 for c in ("ROUND", "LOBED") for n in range(9)})
    extend_lock("cells", lambda _: {records[7].sha256: LockedImage(archive="a")}, store)
    parts = _parts(store, split(publish(records), config, store=store, run=run))
    assert {parts[r.sha256] for r in records if r.group == records[7].group} == {"test"}


def test_locked_image_that_left_takes_its_group_along(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """New images of a locked cell are test images, also after the locked image left the dataset."""
    records = _records({f"{c}{n}": [c] * 3 for c in ("ROUND", "LOBED") for n in range(9)})
    gone = Record(sha256="gone", label="", file="", archive="b", group=records[7].group)
    extend_lock("cells", lambda _: {"gone": LockedImage(archive="b")}, store)
    parts = _parts(store, split(publish(records, [gone]), config, store=store, run=run))
    assert {parts[r.sha256] for r in records if r.group == gone.group} == {"test"}
    assert read_lock("cells", store).by_hash["gone"].archive == "b"


def test_split_is_repeatable(publish: Publish, config: RunConfig, store: ArtifactStore) -> None:
    """A second run publishes the same artefact."""
    grouping = publish(_records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)}))
    runs = [RunContext.now(name, name) for name in ("first", "second")]
    assert len({split(grouping, config, store=store, run=run).uri for run in runs}) == 1


class _Contended(LocalStore):
    """A store in which another run extends the lock right before each of the first writes."""

    def __init__(self, uri: str, others: list[str]) -> None:
        self._uri, self._others = uri, others

    def write(
        self, uri: str, data: bytes, *, if_match: str | None = None, if_absent: bool = False
    ) -> str:
        if uri == self._uri and self._others:
            super().write(uri, f'{{"test": ["{self._others.pop()}"]}}'.encode())
        return super().write(uri, data, if_match=if_match, if_absent=if_absent)


def test_a_lost_race_assigns_again(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Images that another run locks in the meantime are test images of this run, too."""
    records = _records({f"{c}{n}": [c] * 2 for c in ("ROUND", "LOBED") for n in range(9)})
    grouping = publish(records)
    alone = _parts(store, split(grouping, config, store=store, run=run))
    Path(f"{store.root}/locks/cells.json").unlink()
    rival = next(sha for sha, part in alone.items() if part == "train")
    contended = _Contended(f"{store.root}/locks/cells.json", [rival])
    racing = ArtifactStore(contended, store.root)
    assert _parts(racing, split(grouping, config, store=racing, run=run))[rival] == "test"
    assert rival in read_lock("cells", store).hashes


def test_repeated_lost_races_raise_a_conflict(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """A lock that changes at every attempt raises ConflictError."""
    grouping = publish(_records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)}))
    contended = _Contended(f"{store.root}/locks/cells.json", [str(n) for n in range(99)])
    with pytest.raises(ConflictError, match=r"cells\.json was changed .* 20 times"):
        split(grouping, config, store=ArtifactStore(contended, store.root), run=run)


def test_the_lock_records_the_origin_of_a_label(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Each entry has archive, label, source and named group; entries of 0.1 are completed."""
    records = [
        record.model_copy(update={"hint": record.group})
        for record in _records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)})
    ]
    store.objects.write(f"{store.root}/locks/cells.json", b'{"test": {"ROUND3-0": "old"}}')
    split(publish(records), config, store=store, run=run)
    body = json.loads(store.objects.read(f"{store.root}/locks/cells.json"))["test"]
    assert body["ROUND3-0"] == {
        "archive": "a", "label": "ROUND", "source": "archive", "group": "ROUND3",
    }  # fmt: skip


def test_the_name_of_a_locked_group_is_locked(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """New images of a locked patient are test images, also if the old ones have left."""
    entry = LockedImage(archive="gone", label="ROUND", source="archive", group="ROUND4")
    extend_lock("cells", lambda _: {"left": entry}, store)
    records = _records({f"{c}{n}": [c] * 2 for c in ("ROUND", "LOBED") for n in range(9)})
    parts = _parts(store, split(publish(records), config, store=store, run=run))
    assert parts["ROUND4-0"] == parts["ROUND4-1"] == "test"


def test_returned_labels_are_never_in_the_test_part(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Groups with returned labels alone are in train and validation, whatever their number."""
    records = _records({f"{c}{n}": [c] * 2 for c in ("ROUND", "LOBED") for n in range(4)})
    records += _returned({f"r{c}{n}": [c] * 2 for c in ("ROUND", "LOBED") for n in range(60)})
    artifact = split(publish(records), config, store=store, run=run)
    parts = _parts(store, artifact)
    assert {parts[r.sha256] for r in records if r.returned} == {"train", "val"}
    assert not any(name.startswith("r") for name in read_lock("cells", store).hashes)
    assert "quarantined" not in artifact.manifest.counts


def test_a_returned_image_of_a_locked_cell_is_locked_and_not_scored(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """It is locked, so that it is never trained on, and quarantined, so that it is not scored."""
    records = _records({f"{c}{n}": [c] * 2 for c in ("ROUND", "LOBED") for n in range(9)})
    first = _parts(store, split(publish(records), config, store=store, run=run))
    cell = next(r.group for r in records if first[r.sha256] == "test")
    (back,) = _returned({cell: ["ROUND"]})
    artifact = split(publish([*records, back]), config, store=store, run=run)
    assert _parts(store, artifact) == first
    (quarantined,) = from_csv(store.read(artifact, "quarantine.csv").decode(), Quarantined)
    assert (quarantined.sha256, quarantined.label) == (back.sha256, "ROUND")
    assert quarantined.reason.startswith("the label was returned through the service")
    assert artifact.manifest.counts["quarantined"] == 1
    locked = read_lock("cells", store).by_hash[back.sha256]
    assert (locked.source, locked.label) == ("returned", "ROUND")


def test_returned_images_that_earlier_versions_locked_are_not_scored(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """They stay out of training, since they may have decided a promotion, and are not scored."""
    records = _records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)})
    back = _returned({f"r{n}": ["ROUND"] for n in range(6)})
    old = json.dumps({"test": {record.sha256: "r" for record in back}}).encode()
    store.objects.write(f"{store.root}/locks/cells.json", old)
    artifact = split(publish([*records, *back]), config, store=store, run=run)
    parts = _parts(store, artifact)
    assert not {record.sha256 for record in back} & parts.keys()
    assert artifact.manifest.counts["quarantined"] == 6
    assert {r.label for r in records if parts[r.sha256] == "test"} == {"ROUND", "LOBED"}


def test_a_class_of_returned_labels_alone_is_rejected(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Without a label of an archive, the class has no test images."""
    records = _records({f"ROUND{n}": ["ROUND"] for n in range(9)})
    records += _returned({f"r{n}": ["LOBED"] for n in range(9)})
    with pytest.raises(
        InvalidInputError, match=r"LOBED has too few .* left for test.*9 with returned labels only"
    ):
        split(publish(records), config, store=store, run=run)
    assert read_lock("cells", store).hashes == set()


@pytest.mark.field("rare_class_in_one_patient")
@pytest.mark.parametrize("patients", [1, 2])
def test_a_class_of_one_patient_is_refused_with_its_groups(
    patients: int, publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Before features are computed; the error says what to do, and no image is locked."""
    groups = {f"P{n:02}": ["ROUND", "LOBED"] if n < patients else ["ROUND"] for n in range(12)}
    with pytest.raises(InvalidInputError, match="class LOBED has too few groups") as refused:
        split(publish(_records(groups)), config, store=store, run=run)
    held = {f"P{n:02}" for n in range(patients)}
    assert held == set(re.findall(r"P\d\d", refused.value.message))
    assert "add images of other slides, patients or cells" in refused.value.message
    assert read_lock("cells", store).hashes == set()


@pytest.mark.field("rare_class_in_one_patient")
def test_a_class_in_one_fold_is_refused_before_features_are_computed(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Three patients of two classes each: in two folds, the patients of C are in one."""
    contract = config.contract.model_copy(update={"classes": ("A", "B", "C")})
    mixed = config.model_copy(
        update={"contract": contract, "train": TrainConfig(folds=2)}, deep=True
    )
    rows = _records({"P1": ["A", "C"], "P2": ["A", "B"], "P3": ["B", "C"]})
    fitted = [record.model_copy(update={"part": "train"}) for record in rows]
    with pytest.raises(InvalidInputError, match="class C cannot be trained on") as refused:
        require_folds(fitted, mixed)
    assert refused.value.expected == ("groups (slides, patients or source cells) in 2 of 2 folds")
    assert refused.value.received == "P1, P3"


def test_every_class_that_cannot_be_trained_on_is_named(config: RunConfig) -> None:
    """Two of three classes have no group."""
    contract = config.contract.model_copy(update={"classes": ("A", "B", "C")})
    rows = [
        r.model_copy(update={"part": "train"}) for r in _records({f"P{n}": ["A"] for n in "123"})
    ]
    with pytest.raises(InvalidInputError, match="classes B, C cannot be trained on") as refused:
        require_folds(rows, config.model_copy(update={"contract": contract}))
    assert refused.value.received == "B no group; C no group"


@pytest.mark.field("rare_class_in_one_patient")
def test_a_class_without_an_image_is_refused(
    publish: Publish, config: RunConfig, store: ArtifactStore, run: RunContext
) -> None:
    """Otherwise the columns of the probabilities would be those of other classes."""
    contract = config.contract.model_copy(update={"classes": ("ROUND", "RARE", "LOBED")})
    records = _records({f"{c}{n}": [c] for c in ("ROUND", "LOBED") for n in range(9)})
    with pytest.raises(InvalidInputError, match=r"class RARE cannot .* received no group"):
        split(
            publish(records), config.model_copy(update={"contract": contract}), store=store, run=run
        )


def _records(groups: dict[str, list[str]]) -> list[Record]:
    return [
        Record(sha256=f"{group}-{n}", label=label, file=f"{group}/{n}", archive="a", group=group)
        for group, labels in groups.items()
        for n, label in enumerate(labels)
    ]


def _returned(groups: dict[str, list[str]]) -> list[Record]:
    return [
        record.model_copy(update={"sha256": f"{record.sha256}r", "file": f"returned/{n}.png"})
        for n, record in enumerate(_records(groups))
    ]


def _parts(store: ArtifactStore, artifact: object) -> dict[str, str]:
    records = from_csv(store.read(artifact, "records.csv").decode(), Record)  # type: ignore[arg-type]
    return {record.sha256: record.part for record in records}
