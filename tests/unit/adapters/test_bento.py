"""The BentoML model store as a crash-safe mirror."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import bentoml
import pytest
from bentoml._internal.models import ModelStore

from pipeline.adapters.bento import mirror
from pipeline.artifacts import MANIFEST, Parity, ServedManifest
from pipeline.contract.model_contract import ModelContract
from pipeline.digests import sha256_file
from pipeline.errors import ArtifactError
from pipeline.settings import Settings

TAG = "cells:0123456789ab"
LABELS = {"sequence": "1"}


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a served bundle and a BentoML home that contains it."""
    folder = tmp_path_factory.mktemp("mirrored")
    bundle = _bundle(folder / "served", "weights")
    mirror(Settings(bentoml_home=folder / "bentoml"), bundle, TAG, LABELS)
    return folder


@pytest.fixture
def bundle(mirrored: Path, tmp_path: Path) -> Path:
    """A copy of the served bundle."""
    return shutil.copytree(mirrored / "served", tmp_path / "served")


@pytest.fixture
def settings(mirrored: Path, tmp_path: Path) -> Settings:
    """Settings of a BentoML home that has the bundle."""
    return Settings(bentoml_home=shutil.copytree(mirrored / "bentoml", tmp_path / "bentoml"))


def _bundle(folder: Path, content: str) -> Path:
    (folder / "golden").mkdir(parents=True)
    (folder / "model.bin").write_text(content)
    (folder / "golden" / "golden.json").write_text("[]")
    manifest = ServedManifest(
        name="cells",
        run_id="test",
        code_version="test",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        files={n: sha256_file(folder / n) for n in ("model.bin", "golden/golden.json")},
        tag=TAG,
        contract=ModelContract(name="cells", classes=("A", "B")),
        parity=Parity(
            precision="f32", images=1, top1_agreement=1.0, max_probability_difference=0.0
        ),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


def _store(settings: Settings) -> ModelStore:
    return ModelStore(settings.bento_home / "models")


def test_a_mirrored_bundle_is_a_model_of_the_store(settings: Settings) -> None:
    """BentoML finds it by its tag, with files and labels; no temporary folder is left."""
    model = bentoml.models.get(TAG, _model_store=_store(settings))
    assert Path(model.path_of("model.bin")).read_text() == "weights"
    assert model.info.labels == LABELS
    assert not list(settings.bento_home.glob(".incoming-*"))


def test_mirroring_again_changes_nothing(settings: Settings, bundle: Path) -> None:
    """A complete model is not written again."""
    info = settings.bento_home / "models" / "cells" / "0123456789ab" / "model.yaml"
    before = info.stat()
    assert mirror(settings, bundle, TAG, LABELS) == info.parent
    assert (info.stat().st_ino, info.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_a_half_written_model_is_repaired(settings: Settings, bundle: Path, damage: str) -> None:
    """BentoML would treat it as existing; it is replaced by a complete one."""
    target = settings.bento_home / "models" / "cells" / "0123456789ab"
    if damage == "lost":
        (target / "model.yaml").unlink()
    else:
        (target / "model.bin").write_text("weightz")
    mirror(settings, bundle, TAG, LABELS)
    assert (target / "model.bin").read_text() == "weights"
    assert bentoml.models.get(TAG, _model_store=_store(settings)).info.labels == LABELS


def test_a_damaged_bundle_never_reaches_the_store(tmp_path: Path, bundle: Path) -> None:
    """Hashes are verified before the move."""
    empty = Settings(bentoml_home=tmp_path / "empty")
    (bundle / "model.bin").write_text("other")
    with pytest.raises(ArtifactError, match=r"model\.bin"):
        mirror(empty, bundle, TAG, LABELS)
    assert not (empty.bento_home / "models").exists()


def test_latest_follows_the_mirror(settings: Settings, bundle: Path, tmp_path: Path) -> None:
    """After a rollback `latest` is the promoted model, not the newest created."""
    mirror(settings, _bundle(tmp_path / "newer", "newer"), "cells:ffffffffffff", LABELS)
    mirror(settings, bundle, TAG, LABELS)
    assert str(bentoml.models.get("cells:latest", _model_store=_store(settings)).tag) == TAG
