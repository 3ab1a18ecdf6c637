"""The service image, built by buildah: user, responses and contents."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from pipeline.adapters.bento import baked_bundle
from pipeline.artifacts import Artifact, BentoManifest
from pipeline.steps.deployment.container_image import build_command
from pipeline.steps.deployment.smoke_check import replay_golden_images
from tests.integration.containers import buildah as builder
from tests.integration.containers.buildah import Buildah

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.image,
    pytest.mark.skipif(builder.MISSING, reason="needs root, buildah and debootstrap"),
]

REFERENCE = "localhost/leukoflow-service:test"
_START_SECONDS = 120


@pytest.fixture(scope="module")
def image(buildah: Buildah, bento: Path) -> str:
    """Name of the Bento's image, built by our command on the substitute base image."""
    buildah.build(build_command("buildah", bento, REFERENCE))
    return REFERENCE


@pytest.fixture(scope="module")
def bento(
    built_bento: Artifact[BentoManifest],
    shared_stage: "Stage",
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The built Bento as a folder."""
    return shared_stage.artifacts.fetch(built_bento, tmp_path_factory.mktemp("bento") / "bento")


@pytest.fixture(scope="module")
def container(image: str, buildah: Buildah) -> str:
    """A container of the image."""
    return buildah.container(image)


def test_the_image_does_not_run_as_root(container: str, buildah: Buildah) -> None:
    """A process in the image has the user of the Dockerfile."""
    assert buildah.call(["buildah", "run", container, "id", "-u"]) == "10001"


def test_the_image_reproduces_the_golden_predictions(
    container: str, buildah: Buildah, bento: Path, shared_stage: "Stage"
) -> None:
    """The image's command serves the bundled model with the probabilities of the training."""
    with _running(container, buildah) as url:
        worst = replay_golden_images(url, baked_bundle(bento), shared_stage.contract, "f32")
    assert worst <= shared_stage.contract.golden_tolerance


def test_the_image_has_no_training_stack(container: str, buildah: Buildah) -> None:
    """Keras, MLflow and Airflow are not installed in it."""
    probe = (
        "from importlib.util import find_spec as f; print(*map(f, ('keras','mlflow','airflow')))"
    )
    specs = buildah.call(["buildah", "run", container, "python", "-c", probe])
    assert specs == "None None None"


@contextlib.contextmanager
def _running(container: str, buildah: Buildah) -> Iterator[str]:
    """URL of the image's command on loopback and a free port; stops it at the end."""
    command = buildah.config(container)["Cmd"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    local = [{"0.0.0.0": "127.0.0.1", "3000": str(port)}.get(word, word) for word in command]  # noqa: S104
    store = ["--env", "STORE_URI=/home/leukoflow/store"]
    process = subprocess.Popen(
        ["buildah", "run", *store, container, "--", *local],
        env=buildah.variables,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url)
        yield url
    finally:
        _stop(process, Path(command[0]).name)


def _stop(process: subprocess.Popen[bytes], supervisor: str) -> None:
    """Terminate the service by its supervisor process, and check that no process remains.

    A signal to buildah would leave the service running. After a signal to a worker, the supervisor
    starts another worker, whose imports take longer than the timeout.
    """
    inside = psutil.Process(process.pid).children(recursive=True)
    next(one for one in inside if one.name() == supervisor).terminate()
    _, left = psutil.wait_procs(inside, timeout=60)
    for one in left:
        one.kill()
    process.wait(60)
    assert not left, f"processes of the service run 60 s after SIGTERM: {left}"


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", trust_env=False, timeout=30).status_code == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"the image's service is not ready; exit code {process.poll()}")
