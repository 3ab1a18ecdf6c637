"""Artefacts are published atomically and verified when read."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import MANIFEST, Artifact, BentoManifest, DatasetManifest, digest_of
from pipeline.errors import ArtifactError
from pipeline.run_context import RunContext


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty store, whose root has a final slash."""
    return ArtifactStore(LocalStore(), f"{tmp_path}/store/")


def dataset(run_id: str = "first", **counts: int) -> DatasetManifest:
    run = RunContext.now(run_id, "version")
    return DatasetManifest(name="cells", counts=counts, **run.model_dump())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one of them in a subfolder."""
    (tmp_path / "made/deep").mkdir(parents=True)
    (tmp_path / "made/one.csv").write_text("one")
    (tmp_path / "made/deep/two.csv").write_text("two")
    return tmp_path / "made"


@pytest.fixture
def published(store: ArtifactStore, folder: Path) -> Artifact[DatasetManifest]:
    """The folder as a dataset."""
    return store.publish(folder, dataset(images=2))


def test_an_artefact_is_fetched_as_it_was_published(
    store: ArtifactStore, published: Artifact[DatasetManifest], tmp_path: Path
) -> None:
    """With files in subfolders and the manifest."""
    fetched = store.fetch(store.open(published.uri, DatasetManifest), tmp_path / "fetched")
    assert (fetched / "one.csv").read_text() == "one"
    assert (fetched / "deep/two.csv").read_text() == "two"
    assert (fetched / MANIFEST).is_file()
    assert store.read(published, "deep/two.csv") == b"two"


def test_its_uri_contains_its_digest(
    store: ArtifactStore, published: Artifact[DatasetManifest], folder: Path
) -> None:
    """Kind, name and digest; the same content of another run is the same artefact."""
    assert published.uri == f"{store.root}/dataset/cells/{published.digest[:24]}"
    again = store.publish(folder, dataset("second", images=2))
    assert again.uri == published.uri
    assert again.manifest.run_id == "first"


def test_other_content_has_another_uri(
    store: ArtifactStore, published: Artifact[DatasetManifest], folder: Path
) -> None:
    """Files and counts are content."""
    assert store.publish(folder, dataset(images=3)).uri != published.uri
    (folder / "one.csv").write_text("other")
    assert store.publish(folder, dataset(images=2)).uri != published.uri


def test_without_a_manifest_it_does_not_exist(
    store: ArtifactStore, published: Artifact[DatasetManifest]
) -> None:
    """Files of an interrupted publication cannot be opened."""
    (Path(published.uri) / MANIFEST).unlink()
    with pytest.raises(ArtifactError, match="no manifest"):
        store.open(published.uri, DatasetManifest)


def test_the_next_publication_completes_an_interrupted_one(
    store: ArtifactStore, published: Artifact[DatasetManifest], folder: Path
) -> None:
    """All files are uploaded again."""
    (Path(published.uri) / MANIFEST).unlink()
    (Path(published.uri) / "one.csv").write_text("torn")
    again = store.publish(folder, dataset("second", images=2))
    assert again.uri == published.uri
    assert store.read(again, "one.csv") == b"one"


def test_a_changed_file_is_refused(
    store: ArtifactStore, published: Artifact[DatasetManifest], tmp_path: Path
) -> None:
    """Reading and fetching both verify, and name the file."""
    (Path(published.uri) / "one.csv").write_text("changed")
    with pytest.raises(ArtifactError, match=r"one.csv does not match its manifest"):
        store.read(published, "one.csv")
    with pytest.raises(ArtifactError, match=r"one.csv does not match its manifest"):
        store.fetch(published, tmp_path / "fetched")


def test_a_changed_manifest_is_refused(
    store: ArtifactStore, published: Artifact[DatasetManifest]
) -> None:
    """Its digest differs from the URI."""
    path = Path(published.uri) / MANIFEST
    path.write_text(path.read_text().replace('"images": 2', '"images": 3'))
    with pytest.raises(ArtifactError, match="manifest was changed"):
        store.open(published.uri, DatasetManifest)


def test_an_artefact_of_another_kind_is_refused(
    store: ArtifactStore, published: Artifact[DatasetManifest]
) -> None:
    """The error names the expected kind."""
    with pytest.raises(ArtifactError, match="BentoManifest"):
        store.open(published.uri, BentoManifest)


def test_an_unpublished_file_is_refused(
    store: ArtifactStore, published: Artifact[DatasetManifest]
) -> None:
    """The error names the published files."""
    with pytest.raises(ArtifactError, match=r"no file three.csv.*one.csv"):
        store.read(published, "three.csv")


def test_the_next_publication_replaces_a_damaged_artefact(
    store: ArtifactStore, published: Artifact[DatasetManifest], folder: Path
) -> None:
    """A truncated file is refused until the artefact is published again."""
    (Path(published.uri) / "one.csv").write_text("on")
    assert store.intact(published.uri, DatasetManifest) is None
    assert store.publish(folder, dataset("second", images=2)).uri == published.uri
    assert store.read(published, "one.csv") == b"one"
    assert store.intact(published.uri, DatasetManifest) is not None


def test_a_manifest_of_an_earlier_version_is_valid(
    store: ArtifactStore, published: Artifact[DatasetManifest], folder: Path
) -> None:
    """Without a field that was added since, its digest still equals the URI."""
    document = json.loads((Path(published.uri) / MANIFEST).read_text())
    del document["inputs"]
    old = Path(published.uri).with_name(digest_of(document)[:24])
    shutil.copytree(published.uri, old)
    (old / MANIFEST).write_text(json.dumps(document))
    assert store.open(str(old), DatasetManifest).manifest.inputs == {}
    assert store.intact(str(old), DatasetManifest) is not None
    (old / MANIFEST).write_text(json.dumps(document | {"counts": {"images": 3}}))
    with pytest.raises(ArtifactError, match="the manifest was changed"):
        store.open(str(old), DatasetManifest)
