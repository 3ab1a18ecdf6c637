"""Cells of the drift windows are new to the champion, of this split or another."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, BundleManifest, Parity, ServedManifest, SplitManifest
from pipeline.contract.model_contract import ModelContract
from pipeline.demo.unseen_images import select_unseen
from pipeline.records import Part, Record, to_csv
from pipeline.run_context import RunContext

MADE: dict[str, Any] = {"name": "demo", **RunContext.now("test", "test").model_dump()}
PARTS: tuple[Part, ...] = ("train", "val", "test", "reserve")


def images(part: Part, label: str, cells: int = 2) -> list[Record]:
    """Three images of each cell of a part."""
    return [
        Record(
            sha256=f"{n}{cell}-{part}-{label}", label=label, file=f"{label}/{cell}", archive="a",
            group=f"{part}-{label}-{cell}", part=part,
        )
        for cell in range(cells)
        for n in range(3)
    ]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty local store."""
    return ArtifactStore(LocalStore(), str(tmp_path / "store"))


@pytest.fixture
def serve(store: ArtifactStore, tmp_path: Path) -> Callable[[Sequence[Record]], str]:
    """URI of a served bundle that was trained on these records."""

    def served(records: Sequence[Record]) -> str:
        folder = tmp_path / "bundle"
        folder.mkdir()
        (folder / "training.csv").write_text(to_csv(records, Record))
        bundle = store.publish(folder, BundleManifest(**MADE))
        contract = ModelContract(name="demo", classes=("ROUND", "LOBED"))
        parity = Parity(
            images=1, top1_agreement=1.0, max_probability_difference=0.0, precision="f32"
        )
        manifest = ServedManifest(
            **MADE, tag="demo:1", contract=contract, parity=parity, inputs={"bundle": bundle.uri}
        )
        return store.publish(tmp_path / "nothing", manifest).uri

    return served


@pytest.fixture
def split(store: ArtifactStore, tmp_path: Path) -> Artifact[SplitManifest]:
    """Two classes; only one of them has cells in the reserve."""
    records = [r for part in PARTS for r in images(part, "ROUND")]
    records += [r for part in PARTS[:3] for r in images(part, "LOBED")]
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "records.csv").write_text(to_csv(records, Record))
    return store.publish(folder, SplitManifest(**MADE))


Serve = Callable[[Sequence[Record]], str]


def test_the_reserve_is_selected_and_a_class_without_one_is_named(
    store: ArtifactStore, serve: Serve, split: Artifact[SplitManifest]
) -> None:
    """The champion was trained on the training and validation parts of this split."""
    selected = select_unseen(
        split, serve([*images("train", "ROUND"), *images("val", "ROUND")]), 64, store
    )
    assert {record.part for record in selected.records} == {"reserve"}
    assert str(selected) == "6 images of 2 unseen cells (none of LOBED)"


def test_a_small_window_spreads_over_the_cells(
    store: ArtifactStore, serve: Serve, split: Artifact[SplitManifest]
) -> None:
    """The first images by hash are selected, not the first cells."""
    selected = select_unseen(split, serve([]), 4, store)
    assert len(selected.records) == 4
    assert len({record.group for record in selected.records}) == 2


@pytest.mark.parametrize("known_by", ["sha256", "group"])
def test_cells_of_the_champions_training_are_not_selected(
    store: ArtifactStore, serve: Serve, split: Artifact[SplitManifest], known_by: str
) -> None:
    """One image, or the group name, of a cell is enough to exclude it."""
    first = images("reserve", "ROUND")[0]
    other = {"sha256": {"group": "renamed"}, "group": {"sha256": "another"}}[known_by]
    selected = select_unseen(split, serve([first.model_copy(update=other)]), 64, store)
    assert {record.group for record in selected.records} == {"reserve-ROUND-1"}


def test_cells_of_one_patient_are_counted_and_an_excluded_class_is_named(
    store: ArtifactStore, serve: Serve, tmp_path: Path
) -> None:
    """Two cells of one patient count as two; a class with a known reserve has none."""
    both = [*images("reserve", "ROUND"), *images("reserve", "LOBED")]
    records = [
        record.model_copy(update={"cell": record.group, "group": f"patient {record.label}"})
        for record in both
    ]
    folder = tmp_path / "patients"
    folder.mkdir()
    (folder / "records.csv").write_text(to_csv(records, Record))
    split = store.publish(folder, SplitManifest(**MADE))
    known = [record for record in records if record.label == "LOBED"]
    selected = select_unseen(split, serve(known), 64, store)
    assert str(selected) == "6 images of 2 unseen cells (none of LOBED)"


def test_nothing_is_selected_where_every_cell_is_known(
    store: ArtifactStore, serve: Serve, split: Artifact[SplitManifest]
) -> None:
    """The selection is empty, and the demo sends no window."""
    assert select_unseen(split, serve(images("reserve", "ROUND")), 64, store).records == []
