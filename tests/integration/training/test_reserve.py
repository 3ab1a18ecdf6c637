"""Reserved cells in a whole training: nothing is fitted to them or scored on them."""

from pathlib import Path

import pytest
import yaml

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import (
    BundleManifest,
    EvaluationManifest,
    FeaturesManifest,
    PackManifest,
    SplitManifest,
)
from pipeline.contract.prediction_log import ReferenceRecord
from pipeline.demo.unseen_images import select_unseen
from pipeline.records import Record, from_csv
from pipeline.sample.archive import write_archive
from tests.integration.training.trained import Trained, train_on, write_config

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A training with a tenth of the cells in the reserve."""
    folder = tmp_path_factory.mktemp("reserve")
    _config(folder / "tiny.yaml", 0.1)
    write_archive(folder / "drawn.zip", seed=3, cells_per_class=10, copies=3)
    return train_on(folder, folder / "drawn.zip", folder / "tiny.yaml", {})


@pytest.fixture(scope="module")
def store(trained: Trained) -> ArtifactStore:
    """The store with the artefacts of the training."""
    return ArtifactStore(LocalStore(), trained.environment["STORE_URI"])


def test_no_artefact_of_a_training_contains_a_reserved_cell(
    trained: Trained, store: ArtifactStore
) -> None:
    """Checked by hash and group: training table, golden images, activations, drift reference."""
    records = store.records(store.open(trained.split, SplitManifest))
    shown = select_unseen(store.open(trained.split, SplitManifest), trained.served, 64, store)
    assert (len(shown.records), shown.missing) == (12, [])
    assert str(shown) == "12 images of 4 unseen cells"
    hashes = {record.sha256 for record in shown.records}
    groups = {record.group for record in shown.records}
    bundle = store.open(trained.bundle, BundleManifest)
    fitted = from_csv(store.read(bundle, "training.csv").decode(), Record)
    assert {r.part for r in fitted} == {"train", "val"}
    evaluation = store.open(trained.evaluation, EvaluationManifest)
    lines = store.read(evaluation, "reference.jsonl").decode().splitlines()
    reference = [ReferenceRecord.model_validate_json(line) for line in lines]
    assert hashes.isdisjoint(r.sha256 for r in fitted)
    assert groups.isdisjoint(r.group for r in fitted)
    assert {h[:16] for h in hashes}.isdisjoint(r.record.request_id for r in reference)
    assert groups.isdisjoint(r.group for r in reference)
    assert {h[:16] for h in hashes}.isdisjoint(Path(name).stem for name in bundle.manifest.files)
    assert hashes.isdisjoint(_activated(trained, store))
    assert _activated(trained, store) == {r.sha256 for r in fitted}
    assert len(fitted) + len(reference) + len(shown.records) == len(records)


def test_the_model_card_counts_the_reserve(trained: Trained, store: ArtifactStore) -> None:
    """A column of its own has three images of one cell of each class."""
    evaluation = store.open(trained.evaluation, EvaluationManifest)
    card = store.read(evaluation, "model_card.md").decode()
    assert "| class | train | val | test | reserve |\n|---|---:|---:|---:|---:|\n" in card
    assert card.count(" 3 (1) |") >= 4
    assert "The reserve was used neither for fitting nor for scoring." in card


def _config(path: Path, reserve_share: float) -> None:
    write_config(path)
    body = yaml.safe_load(path.read_text())
    body["split"] = {"reserve_share": reserve_share}
    path.write_text(yaml.safe_dump(body))


def _activated(trained: Trained, store: ArtifactStore) -> set[str]:
    """Hashes of the images in the packs of this training's features."""
    features = [
        store.open(item.uri.removesuffix("/manifest.json"), FeaturesManifest).manifest
        for item in store.objects.list(f"{store.root}/features/")
        if item.uri.endswith("/manifest.json")
    ]
    uris = {uri for one in features if one.inputs["split"] == trained.split for uri in one.packs}
    packs = [store.open(uri, PackManifest) for uri in uris]
    return {name for p in packs for name in store.read(p, "images.txt").decode().split()}
