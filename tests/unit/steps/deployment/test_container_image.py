"""Choice of the builder, its commands, and results without builder or registry."""

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
    """A Bento without files: fetching it fails."""
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
    """Whatever their order in the list."""
    assert preferred_tool(tools) == expected


def test_without_a_builder_the_error_lists_all() -> None:
    """Any of the three is enough."""
    with pytest.raises(InvalidInputError, match="docker, podman, buildah"):
        preferred_tool([])


def test_the_reference_has_registry_and_model_tag() -> None:
    """The version of the image is the model's name and version."""
    settings = Settings(image_registry="registry.example/team/", image_name="cells")
    assert image_reference(settings, TAG) == "registry.example/team/cells:blood_cells-0123456789ab"


def test_without_a_registry_the_image_stays_local() -> None:
    """Its registry is `localhost`."""
    settings = Settings(image_registry="", image_name="cells")
    assert image_reference(settings, TAG) == "localhost/cells:blood_cells-0123456789ab"


def test_the_bento_folder_is_the_build_context() -> None:
    """The Dockerfile is the project's."""
    command = build_command("podman", Path("/bento"), "localhost/cells:x")
    assert command[:3] == ["podman", "build", "--file"]
    assert Path(command[3]).name == "service.Dockerfile"
    assert command[4:] == ["--tag", "localhost/cells:x", "/bento"]


def test_the_summary_of_a_local_image_has_the_push_command() -> None:
    """With the registry as a variable."""
    reference = "localhost/cells:x"
    result = ImageResult(
        tool="buildah",
        reference=reference,
        pushed=False,
        push_command=push_command("buildah", reference),
    )
    assert "buildah push $IMAGE_REGISTRY/cells:x" in result.summary


def test_an_image_with_a_registry_is_pushed_by_its_name() -> None:
    """No variable is inserted."""
    assert push_command("docker", "registry.example/cells:x")[-1] == "registry.example/cells:x"


def test_without_a_registry_nothing_is_built(tmp_path: Path) -> None:
    """The result has the image and the push command."""
    empty = ArtifactStore(LocalStore(), str(tmp_path / "absent"))
    result = build_and_push(
        _bento(),
        settings=Settings(image_registry="", image_name="cells"),
        store=empty,
    )
    assert "localhost/cells:blood_cells-0123456789ab" in result
    assert "push $IMAGE_REGISTRY/cells:blood_cells-0123456789ab" in result


@pytest.mark.parametrize("broken", [False, True], ids=["no builder", "a builder that fails"])
def test_without_a_builder_nothing_is_pushed(
    broken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result has the image and the ways to build it."""
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
    assert f"the Bento of {TAG} is built and tested" in result
    assert "registry.example/cells:blood_cells-0123456789ab is not pushed" in result
    assert ".github/workflows/image.yml" in result
    assert (DOCKERFILE.parents[1] / WORKFLOW).is_file()
    assert "a worker with buildah" in result
