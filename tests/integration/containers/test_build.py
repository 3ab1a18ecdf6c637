"""The Bento of a served bundle: manifest, contents, requirements and responses."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.adapters.bento import baked_bundle
from pipeline.artifacts import Artifact, BentoManifest
from pipeline.steps.deployment.smoke_check import replay_golden_images, serve_bento

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_the_manifest_of_a_bento_names_its_model(built_bento: Artifact[BentoManifest]) -> None:
    """The manifest has the served bundle, its tag and the number of golden images tested."""
    manifest = built_bento.manifest
    assert "/served/blood_cells/" in manifest.inputs["served"]
    assert manifest.tag == "blood_cells:000000000000"
    assert manifest.counts == {"golden": 4}


def test_a_bento_contains_only_the_service_and_the_model(
    built_bento: Artifact[BentoManifest],
) -> None:
    """It has no training code, tests, DAGs or monitoring."""
    sources = {Path(name) for name in built_bento.manifest.files if name.startswith("src/")}
    assert {path.parts[1] for path in sources} == {
        "bento_service",
        "bentofile.yaml",
        "bundle",
        "pipeline",
    }
    assert Path("src/bundle/model.xml") in sources
    assert not [path for path in sources if "steps" in path.parts or path.name == "network.py"]


def test_a_bento_pins_its_requirements_by_hash(
    built_bento: Artifact[BentoManifest], shared_stage: "Stage"
) -> None:
    """The requirements are those of the `serve` extra in the lock."""
    text = shared_stage.artifacts.read(built_bento, "env/python/requirements.txt").decode()
    assert "bentoml==" in text
    assert "--hash=sha256:" in text
    assert "tensorflow" not in text


def test_a_stored_bento_reproduces_the_golden_predictions(
    built_bento: Artifact[BentoManifest], shared_stage: "Stage", tmp_path: Path
) -> None:
    """A fetched Bento serves from its own folder with the golden probabilities."""
    contract = shared_stage.contract
    bento = shared_stage.artifacts.fetch(built_bento, tmp_path / "bento")
    with serve_bento(bento) as url:
        worst = replay_golden_images(url, baked_bundle(bento), contract, "f32")
    assert worst <= contract.golden_tolerance
