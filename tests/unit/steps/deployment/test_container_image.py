"""Which builder is taken and what it is told."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.storage import LocalStore
from pipeline.artifacts import Artifact, BentoManifest
from pipeline.errors import InvalidInputError
from pipeline.settings import Settings
from pipeline.steps.deployment.container_image import (
    DOCKERFILE,
    WORKFLOW,
    ImageResult,
    build_and_push,
    build_command,
    image_reference,
    preferred_tool,
    push_command,
)

TAG = "blood_cells:0123456789ab"


def _bento() -> Artifact[BentoManifest]:
    """A Bento whose files are nowhere, so that a test fails that fetches them."""
    manifest = BentoManifest(
        name="blood_cells",
        run_id="test",
        code_version="test",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        tag=TAG,
    )
    return Artifact("nowhere", manifest)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        (["buildah", "podman", "docker"], "docker"),
        (["buildah", "podman"], "podman"),
        (["buildah"], "buildah"),
    ],
)
def test_docker_is_preferred_then_podman_then_buildah(tools: list[str], expected: str) -> None:
    """The first working builder of a fixed order is taken."""
    assert preferred_tool(tools) == expected


def test_a_machine_without_a_builder_is_told_what_is_missing() -> None:
    """The error names all builders that would do."""
    with pytest.raises(InvalidInputError, match="docker, podman, buildah"):
        preferred_tool([])


def test_the_reference_carries_the_model_tag() -> None:
    """An image is named by the model it serves, below the registry."""
    settings = Settings(image_registry="registry.example/team/", image_name="cells")
    assert image_reference(settings, TAG) == "registry.example/team/cells:blood_cells-0123456789ab"


def test_without_a_registry_the_image_stays_local() -> None:
    """No registry means a local name."""
    settings = Settings(image_registry="", image_name="cells")
    assert image_reference(settings, TAG) == "localhost/cells:blood_cells-0123456789ab"


def test_the_bento_folder_is_the_build_context() -> None:
    """The builder gets our Dockerfile, the image's name and the Bento's folder."""
    command = build_command("podman", Path("/bento"), "localhost/cells:x")
    assert command[:3] == ["podman", "build", "--file"]
    assert Path(command[3]).name == "service.Dockerfile"
    assert command[4:] == ["--tag", "localhost/cells:x", "/bento"]


def test_an_unpushed_image_says_what_would_be_pushed() -> None:
    """The summary holds the exact push, with the registry to be filled in."""
    reference = "localhost/cells:x"
    result = ImageResult(
        tool="buildah",
        reference=reference,
        pushed=False,
        push_command=push_command("buildah", reference),
    )
    assert "buildah push $IMAGE_REGISTRY/cells:x" in result.summary


def test_a_configured_registry_is_pushed_to_by_its_own_name() -> None:
    """With a registry in the name nothing is replaced."""
    assert push_command("docker", "registry.example/cells:x")[-1] == "registry.example/cells:x"


def test_without_a_registry_shipping_stops_and_says_what_it_would_do(tmp_path: Path) -> None:
    """Nothing is fetched or built; the line names the image and the push."""
    nowhere = ArtifactStore(LocalStore(), str(tmp_path / "absent"))
    said = build_and_push(
        _bento(),
        settings=Settings(image_registry="", image_name="cells"),
        store=nowhere,
    )
    assert "localhost/cells:blood_cells-0123456789ab" in said
    assert "push $IMAGE_REGISTRY/cells:blood_cells-0123456789ab" in said


@pytest.mark.parametrize("broken", [False, True], ids=["no builder", "a builder that fails"])
def test_a_worker_that_cannot_build_says_what_can(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched, built or pushed; the line names the image and what can build it."""
    if broken:
        docker = tmp_path / "docker"
        docker.write_text("#!/bin/sh\nexit 1\n")
        docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    result = build_and_push(
        _bento(),
        settings=Settings(image_registry="registry.example", image_name="cells"),
        store=ArtifactStore(LocalStore(), str(tmp_path / "absent")),
    )
    assert "no builder works here (tried docker, podman, buildah)" in result
    assert f"{TAG} stops here" in result
    assert "registry.example/cells:blood_cells-0123456789ab is not pushed" in result
    assert ".github/workflows/image.yml" in result
    assert (DOCKERFILE.parents[1] / WORKFLOW).is_file()
    assert "a worker with buildah" in result
