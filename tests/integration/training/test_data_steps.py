"""The data steps on a real object store: from an upload to a locked split."""

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.image_packs import read_images
from pipeline.adapters.storage import UriStore
from pipeline.artifacts import Artifact, GroupingManifest, SplitManifest
from pipeline.config.run_config import RunConfig
from pipeline.contract.model_contract import ModelContract
from pipeline.errors import InvalidInputError
from pipeline.records import Record, from_csv
from pipeline.run_context import RunContext
from pipeline.sample.archive import write_archive
from pipeline.sample.cells import CLASSES
from pipeline.settings import Settings
from pipeline.steps.cells.group import group
from pipeline.steps.cells.locked_images import read_lock
from pipeline.steps.cells.split import split
from pipeline.steps.dataset.ingest import ingest
from pipeline.steps.dataset.validate import validate

pytestmark = pytest.mark.integration

CONFIG = RunConfig(contract=ModelContract(name="data_steps", classes=CLASSES))


@pytest.fixture(scope="module")
def store(seaweed: Settings) -> ArtifactStore:
    """Artefacts in SeaweedFS."""
    return ArtifactStore(UriStore(seaweed), f"{seaweed.store_uri}/data-steps")


@pytest.fixture(scope="module")
def grouping(
    store: ArtifactStore, tmp_path_factory: pytest.TempPathFactory
) -> Artifact[GroupingManifest]:
    """The grouping of an uploaded archive of drawn cells."""
    path = tmp_path_factory.mktemp("upload") / "sample.zip"
    write_archive(path, seed=11, cells_per_class=4, copies=3)
    store.objects.upload(path, f"{store.root}/archives/{CONFIG.name}/sample.zip")
    run = _run("first")
    snapshot = ingest([], CONFIG, store=store, run=run)
    return group(validate(snapshot, CONFIG, store=store, run=run), CONFIG, store=store, run=run)


def test_packs_return_every_image(
    store: ArtifactStore, grouping: Artifact[GroupingManifest]
) -> None:
    """The packs return every image of the upload, and the groups are the cells."""
    records = from_csv(store.read(grouping, "records.csv").decode(), Record)
    assert grouping.manifest.counts == {"images": 48, "groups": 16, "cells": 16, "hinted": 0}
    assert sum(bool(data) for _, data in read_images(store, records)) == 48


def test_second_run_reuses_the_artefacts(
    store: ArtifactStore, grouping: Artifact[GroupingManifest]
) -> None:
    """Another run on the same upload publishes the same artefacts."""
    run = _run("second")
    snapshot = ingest([], CONFIG, store=store, run=run)
    dataset = validate(snapshot, CONFIG, store=store, run=run)
    assert dataset.uri == grouping.manifest.inputs["dataset"]


def test_rejected_archive_leaves_nothing_behind(store: ArtifactStore, tmp_path: Path) -> None:
    """A rejected upload has no artefact and no marker."""
    path = tmp_path / "unsafe.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../escape.png", b"data")
    uri = f"{store.root}/unsafe.zip"
    store.objects.upload(path, uri)
    before = [info.uri for info in store.objects.list(store.root)]
    with pytest.raises(InvalidInputError, match="leaves the archive"):
        ingest([uri], CONFIG, store=store, run=_run("unsafe"))
    assert [info.uri for info in store.objects.list(store.root)] == before


def test_concurrent_splits_agree_on_the_test_part(
    store: ArtifactStore, grouping: Artifact[GroupingManifest]
) -> None:
    """Six concurrent runs publish the same split, and every test image is in the lock."""

    def run_split(number: int) -> Artifact[SplitManifest]:
        return split(grouping, CONFIG, store=store, run=_run(str(number)))

    with ThreadPoolExecutor(6) as pool:
        artifacts = list(pool.map(run_split, range(6)))
    assert len({artifact.uri for artifact in artifacts}) == 1
    records = from_csv(store.read(artifacts[0], "records.csv").decode(), Record)
    tested = {record.sha256 for record in records if record.part == "test"}
    assert tested
    assert tested == read_lock(CONFIG.name, store).hashes


def _run(name: str) -> RunContext:
    return RunContext.now(name, name)
