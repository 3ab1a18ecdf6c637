"""A served bundle becomes a Bento that answers for itself."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.adapters.bento import baked_bundle
from pipeline.artifacts import Artifact, BentoManifest
from pipeline.steps.deployment.served_bento import replay_golden_images, serve_bento

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def test_a_built_bento_knows_its_model(built_bento: Artifact[BentoManifest]) -> None:
    """The artefact names the served bundle, its tag and how many golden images it answered."""
    manifest = built_bento.manifest
    assert "/served/blood_cells/" in manifest.inputs["served"]
    assert manifest.tag == "blood_cells:000000000000"
    assert manifest.counts == {"golden": 4}


def test_a_bento_carries_the_service_the_model_and_nothing_else(
    built_bento: Artifact[BentoManifest],
) -> None:
    """No training code, tests, DAGs or monitoring travel with the service."""
    sources = {Path(name) for name in built_bento.manifest.files if name.startswith("src/")}
    assert {path.parts[1] for path in sources} == {
        "bento_service",
        "bentofile.yaml",
        "bundle",
        "pipeline",
    }
    assert Path("src/bundle/model.xml") in sources
    assert not [path for path in sources if "steps" in path.parts or path.name == "network.py"]


def test_a_bento_pins_what_it_needs_by_hash(
    built_bento: Artifact[BentoManifest], lasting_stage: "Stage"
) -> None:
    """The requirements of the Bento are the serve extra's part of the lock."""
    text = lasting_stage.artifacts.read(built_bento, "env/python/requirements.txt").decode()
    assert "bentoml==" in text
    assert "--hash=sha256:" in text
    assert "tensorflow" not in text


def test_a_stored_bento_answers_its_golden_images(
    built_bento: Artifact[BentoManifest], lasting_stage: "Stage", tmp_path: Path
) -> None:
    """Fetched on another machine it serves from its own folder and repeats the answers."""
    contract = lasting_stage.contract
    bento = lasting_stage.artifacts.fetch(built_bento, tmp_path / "bento")
    with serve_bento(bento) as url:
        worst = replay_golden_images(url, baked_bundle(bento), contract, "f32")
    assert worst <= contract.golden_tolerance
