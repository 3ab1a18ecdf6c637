"""Container image: build the service's image from a Bento, and push it to a registry."""

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.adapters.artifact_store import ArtifactStore
from pipeline.adapters.requirements import ROOT
from pipeline.artifacts import Artifact, BentoManifest
from pipeline.errors import ArtifactError, InvalidInputError
from pipeline.records import Frozen
from pipeline.settings import Settings

TOOLS = ("docker", "podman", "buildah")
"""In order of preference."""
LOCAL = "localhost"
"""Registry in the name of an image that is not pushed."""
WORKFLOW = ".github/workflows/image.yml"
"""GitHub workflow that builds and pushes the image when no worker can."""
DOCKERFILE = ROOT / "docker" / "service.Dockerfile"
_MAX_OUTPUT = 3000
"""Characters of a builder's output in an error, from its end."""

log = logging.getLogger(__name__)


class ImageResult(Frozen):
    """A built image, and the command that pushes it."""

    tool: str
    reference: str
    """`registry/name:version`."""
    pushed: bool
    push_command: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line: what was built, and whether it was pushed."""
        if self.pushed:
            return f"pushed {self.reference}"
        command = " ".join(self.push_command)
        return f"built {self.reference}, not pushed: IMAGE_REGISTRY is empty; to push: {command}"


def build_image(
    bento: Artifact[BentoManifest], *, settings: Settings, store: ArtifactStore
) -> ImageResult:
    """Build the service's image from a Bento, and push it when a registry is configured.

    Raises:
        InvalidInputError: when no builder works on this machine.
        ArtifactError: when the builder or the push fails.
    """
    tool = preferred_tool(working_tools())
    reference = image_reference(settings, bento.manifest.tag)
    log.info("building image %s with %s", reference, tool)
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        _run(build_command(tool, store.fetch(bento, Path(folder)), reference))
    result = ImageResult(
        tool=tool,
        reference=reference,
        pushed=bool(settings.image_registry),
        push_command=push_command(tool, reference),
    )
    if result.pushed:
        _run(result.push_command)
    log.info(result.summary)
    return result


def build_and_push(
    bento: Artifact[BentoManifest], *, settings: Settings, store: ArtifactStore
) -> str:
    """Build and push an image; without a registry or builder, only return what is missing.

    Raises:
        ArtifactError: when the builder or the push fails.
    """
    if not settings.image_registry:
        result = _no_registry_text(image_reference(settings, bento.manifest.tag), bento)
    elif not working_tools():
        result = _no_builder_text(image_reference(settings, bento.manifest.tag), bento)
    else:
        return build_image(bento, settings=settings, store=store).summary
    log.info(result)
    return result


def _no_registry_text(reference: str, bento: Artifact[BentoManifest]) -> str:
    command = " ".join(push_command("docker", reference))
    return (
        f"IMAGE_REGISTRY is empty: the Bento of {bento.manifest.tag} is built and tested, no image "
        f"is pushed. `make image` builds {reference}; with a registry it also runs: {command}"
    )


def _no_builder_text(reference: str, bento: Artifact[BentoManifest]) -> str:
    return (
        f"no builder works here (tried {', '.join(TOOLS)}): the Bento of {bento.manifest.tag} is "
        f"built and tested, and {reference} is not pushed. To build and push it, run {WORKFLOW}, "
        f"or `make image` on a machine with docker, or clear this task on a worker with buildah "
        f"and a registry login"
    )


def preferred_tool(tools: Sequence[str]) -> str:
    """The first of `TOOLS` among the working builders; InvalidInputError if none works."""
    for tool in TOOLS:
        if tool in tools:
            return tool
    raise InvalidInputError(
        "no container builder works", expected=f"one of {', '.join(TOOLS)}", received="none"
    )


def working_tools() -> list[str]:
    """Builders whose `info` command succeeds; a docker client without a daemon fails it."""
    return [
        tool
        for tool in TOOLS
        if shutil.which(tool)
        and subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0
    ]


def image_reference(settings: Settings, tag: str) -> str:
    """`registry/name:version` for a model tag; `localhost` without a registry."""
    name, _, version = tag.partition(":")
    registry = settings.image_registry.rstrip("/") or LOCAL
    return f"{registry}/{settings.image_name}:{name}-{version}"


def build_command(tool: str, bento: Path, reference: str) -> list[str]:
    """The build command for a Bento's folder; buildah also reads BUILDAH_ISOLATION."""
    return [tool, "build", "--file", str(DOCKERFILE), "--tag", reference, str(bento)]


def push_command(tool: str, reference: str) -> tuple[str, ...]:
    """The push command; for a local image, with `$IMAGE_REGISTRY` in its name."""
    return (tool, "push", reference.replace(f"{LOCAL}/", "$IMAGE_REGISTRY/", 1))


def _run(command: Sequence[str]) -> None:
    """Run a builder's command; ArtifactError with the end of its output if it fails."""
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise ArtifactError(
            f"{' '.join(command[:2])} failed",
            received=f"{process.stdout}{process.stderr}"[-_MAX_OUTPUT:],
        )
