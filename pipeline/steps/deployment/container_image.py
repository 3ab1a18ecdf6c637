"""Image: a Bento becomes a container image, by whichever builder this machine has.

When it fails: the builder's own last lines are in the message. Without a registry, and on a worker
without a builder, nothing is pushed; the result says what would have been, and what can do it.
"""

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
"""Stands where a registry would in the name of an image that stays on this machine."""
WORKFLOW = ".github/workflows/image.yml"
"""Builds and pushes the image of the served model where no worker can."""
DOCKERFILE = ROOT / "docker" / "service.Dockerfile"
_LAST_CHARACTERS = 3000

logger = logging.getLogger(__name__)


class ImageResult(Frozen):
    """An image on this machine, and the push that was made or would be."""

    tool: str
    reference: str
    """Name and tag, with the registry where one is configured."""
    pushed: bool
    push_command: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.pushed:
            return f"pushed {self.reference}"
        command = " ".join(self.push_command)
        return f"built {self.reference}; IMAGE_REGISTRY is empty, with one I would run: {command}"


def build_image(
    bento: Artifact[BentoManifest], *, settings: Settings, store: ArtifactStore
) -> ImageResult:
    """Build the service's image from a Bento and push it where a registry is configured.

    Raises:
        InvalidInputError: when there is no working builder.
        ArtifactError: when the builder or the push fails.
    """
    tool = preferred_tool(working_tools())
    reference = image_reference(settings, bento.manifest.tag)
    logger.info("building image %s with %s", reference, tool)
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
    logger.info(result.summary)
    return result


def build_and_push(
    bento: Artifact[BentoManifest], *, settings: Settings, store: ArtifactStore
) -> str:
    """Build and push where a registry and a builder are there; elsewhere say what is missing.

    Returns:
        One line for people.

    Raises:
        ArtifactError: when the builder or the push fails.
    """
    if not settings.image_registry:
        result = _without_registry(image_reference(settings, bento.manifest.tag), bento)
    elif not working_tools():
        result = _without_builder(image_reference(settings, bento.manifest.tag), bento)
    else:
        return build_image(bento, settings=settings, store=store).summary
    logger.info(result)
    return result


def _without_registry(reference: str, bento: Artifact[BentoManifest]) -> str:
    command = " ".join(push_command("docker", reference))
    return (
        f"IMAGE_REGISTRY is empty: {bento.manifest.tag} stops here, proved as a Bento. "
        f"`make image` would build {reference}, and with a registry push it by: {command}"
    )


def _without_builder(reference: str, bento: Artifact[BentoManifest]) -> str:
    return (
        f"no builder works here (tried {', '.join(TOOLS)}): {bento.manifest.tag} stops here, "
        f"proved as a Bento, and {reference} is not pushed. It can be built and pushed by "
        f"{WORKFLOW}, by `make image` on a machine with docker, or by a worker with buildah and a "
        f"login to the registry: clear this task there"
    )


def preferred_tool(tools: Sequence[str]) -> str:
    """The preferred of the builders that work here.

    Raises:
        InvalidInputError: when there is none.
    """
    for tool in TOOLS:
        if tool in tools:
            return tool
    raise InvalidInputError(
        "nothing here builds images", expected=f"one of {', '.join(TOOLS)}", received="none of them"
    )


def working_tools() -> list[str]:
    """Builders that are installed and answer; a docker client without its daemon does not."""
    return [tool for tool in TOOLS if shutil.which(tool) and _answers(tool)]


def image_reference(settings: Settings, tag: str) -> str:
    """`registry/name:version` for a model tag; `localhost` where no registry is configured."""
    name, _, version = tag.partition(":")
    registry = settings.image_registry.rstrip("/") or LOCAL
    return f"{registry}/{settings.image_name}:{name}-{version}"


def build_command(tool: str, bento: Path, reference: str) -> list[str]:
    """The command that builds a Bento's folder; buildah reads BUILDAH_ISOLATION by itself."""
    return [tool, "build", "--file", str(DOCKERFILE), "--tag", reference, str(bento)]


def push_command(tool: str, reference: str) -> tuple[str, ...]:
    """The command that pushes an image; of a local one, what it would be with a registry."""
    return (tool, "push", reference.replace(f"{LOCAL}/", "$IMAGE_REGISTRY/", 1))


def _answers(tool: str) -> bool:
    return subprocess.run([tool, "info"], capture_output=True, check=False).returncode == 0


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtifactError(
            f"{' '.join(command[:2])} failed",
            received=f"{done.stdout}{done.stderr}"[-_LAST_CHARACTERS:],
        )
