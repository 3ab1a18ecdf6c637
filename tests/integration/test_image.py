"""The image is built for real and answers its golden images as its own user.

No registry can be reached from a test, so a plain Debian bookworm (Python 3.11, as in the base
image) stands in under the base image's name.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from pipeline.adapters.bento import baked_bundle
from pipeline.adapters.served_bento import ask_golden
from pipeline.artifacts import Artifact, BentoManifest
from pipeline.steps.image import DOCKERFILE, build_command

if TYPE_CHECKING:
    from tests.conftest import Stage

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.image,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap"),
        reason="needs root, buildah and debootstrap",
    ),
]

REFERENCE = "localhost/leukoflow-service:test"
_START_SECONDS = 120
_DEBIAN = ["--variant=minbase", "--include=python3,python3-venv,python3-pip,ca-certificates"]
_REACHES = ("index-url", "extra-index-url", "trusted-host", "cert", "timeout", "default-timeout")
"""Settings of pip that say how a package index is reached."""
_FOREIGN = re.compile(r"^(AWS_|PIP_|PYTHON|STORE_URI|BENTOML_|LEUKOFLOW_)")


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which buildah keeps everything in a folder of this run."""
    folder = tmp_path_factory.mktemp("containers")
    storage = folder / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/root"\nrunroot = "{folder}/run"\n'
    )
    own = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    return own | {"CONTAINERS_STORAGE_CONF": str(storage), "BUILDAH_ISOLATION": "chroot"}


@pytest.fixture(scope="module")
def image(
    variables: dict[str, str],
    bento: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The image of the Bento, built by our command on the stand-in base."""
    folder = tmp_path_factory.mktemp("base")
    _call(["debootstrap", *_DEBIAN, "bookworm", str(folder / "debian")], variables)
    _import_base(folder / "debian", variables)
    shutil.rmtree(folder / "debian")
    command = build_command("buildah", bento, REFERENCE)
    offline = ["--pull-never", "--network", "host", *_package_index(folder)]
    _call([*command[:2], *offline, *command[2:]], variables)
    return REFERENCE


@pytest.fixture(scope="module")
def bento(
    built_bento: Artifact[BentoManifest],
    lasting_stage: "Stage",
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The built Bento as a folder."""
    return lasting_stage.artifacts.fetch(built_bento, tmp_path_factory.mktemp("bento") / "bento")


@pytest.fixture(scope="module")
def container(image: str, variables: dict[str, str]) -> str:
    """A container of the image."""
    return _call(["buildah", "from", "--pull-never", image], variables)


def test_the_image_is_not_run_by_root(container: str, variables: dict[str, str]) -> None:
    """A process of the image has the image's own user."""
    assert _call(["buildah", "run", container, "id", "-u"], variables) == "10001"


def test_the_image_answers_its_golden_images(
    container: str, variables: dict[str, str], bento: Path, lasting_stage: "Stage"
) -> None:
    """The image's own command serves the baked model, which repeats what training saw."""
    with _running(container, variables) as url:
        worst = ask_golden(url, baked_bundle(bento), lasting_stage.contract, "f32")
    assert worst <= lasting_stage.contract.golden_tolerance


def test_the_image_has_no_training_stack(container: str, variables: dict[str, str]) -> None:
    """Neither TensorFlow, MLflow nor Airflow can be found in it."""
    probe = (
        "from importlib.util import find_spec as f; print(*map(f, ('keras','mlflow','airflow')))"
    )
    found = _call(["buildah", "run", container, "python", "-c", probe], variables)
    assert found == "None None None"


def _import_base(tree: Path, variables: dict[str, str]) -> None:
    names = set(re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE))
    scratch = _call(["buildah", "from", "scratch"], variables)
    _call(["buildah", "copy", "--quiet", scratch, str(tree), "/"], variables)
    for name in names:
        _call(["buildah", "commit", "--quiet", scratch, f"docker.io/library/{name}"], variables)
    _call(["buildah", "rm", scratch], variables)


def _package_index(folder: Path) -> list[str]:
    """Options that let pip inside the build use this machine's index and certificates."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings = dict(re.findall(r"^[^.]+\.\.?(\S+?)='(.*)'$", listed, re.MULTILINE))
    # Others name files of this machine, such as constraints, which the image does not have.
    lines = [f"{name} = {settings[name]}" for name in _REACHES if name in settings]
    config = folder / "pip.conf"
    config.write_text("[global]\n" + "\n".join(lines) + "\n")
    mounts = [f"{config}:/etc/pip.conf:ro"]
    if "cert" in settings:
        mounts.append(f"{settings['cert']}:{settings['cert']}:ro")
    return [word for mount in mounts for word in ("--volume", mount)]


@contextlib.contextmanager
def _running(container: str, variables: dict[str, str]) -> Iterator[str]:
    """The image's command, on loopback and a free port."""
    described = json.loads(_call(["buildah", "inspect", container], variables))
    command = described["OCIv1"]["config"]["Cmd"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    local = [{"0.0.0.0": "127.0.0.1", "3000": str(port)}.get(word, word) for word in command]  # noqa: S104
    store = ["--env", "STORE_URI=/home/leukoflow/store"]
    process = subprocess.Popen(
        ["buildah", "run", *store, container, "--", *local], env=variables, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url)
        yield url
    finally:
        _stop(process, Path(command[0]).name)


def _stop(process: subprocess.Popen[bytes], served_by: str) -> None:
    """End the service by its own supervisor, and see that nothing of it stays.

    A signal to buildah would leave the service behind, and one to a worker makes the supervisor
    start another, whose imports then outlast every patience.
    """
    inside = psutil.Process(process.pid).children(recursive=True)
    next(one for one in inside if one.name() == served_by).terminate()
    _, left = psutil.wait_procs(inside, timeout=60)
    for one in left:
        one.kill()
    process.wait(60)
    assert not left, f"the image's service outlived SIGTERM by 60 s: {left}"


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", trust_env=False, timeout=30).status_code == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"the image's service is not ready; exit code {process.poll()}")


def _call(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()
