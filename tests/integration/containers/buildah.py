"""Images built by buildah on a substitute base image, because tests reach no image registry.

The substitute is Debian bookworm by debootstrap, which has the Python 3.11 of the real base image.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
MISSING = os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("debootstrap")
"""Whether this machine lacks root, buildah or debootstrap."""
_DEBIAN = ["--variant=minbase", "--include=python3,python3-venv,python3-pip,ca-certificates"]
_INDEX_SETTINGS = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "cert",
    "timeout",
    "default-timeout",
)
"""Settings of pip that configure the package index."""
_NOT_INHERITED = re.compile(r"^(AWS_|PIP_|PYTHON|STORE_URI|BENTOML_|LEUKOFLOW_)")


@dataclass(frozen=True)
class Buildah:
    """A builder whose images and containers are in one folder."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its commands."""
        own = {name: value for name, value in os.environ.items() if not _NOT_INHERITED.match(name)}
        storage = str(self.folder / "storage.conf")
        return own | {"CONTAINERS_STORAGE_CONF": storage, "BUILDAH_ISOLATION": "chroot"}

    def prepare(self, debian: Path) -> None:
        """Create the base images of the Dockerfiles from a Debian file system."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\n'
            f'graphroot = "{self.folder}/root"\nrunroot = "{self.folder}/run"\n'
        )
        scratch = self.call(["buildah", "from", "scratch"])
        self.call(["buildah", "copy", "--quiet", scratch, str(debian), "/"])
        for name in _base_images():
            self.call(["buildah", "commit", "--quiet", scratch, f"docker.io/library/{name}"])
        self.call(["buildah", "rm", scratch])

    def remove(self) -> None:
        """Unmount and delete all containers and images (several GB)."""
        self.call(["buildah", "rm", "--all"])
        self.call(["buildah", "rmi", "--all", "--force"])
        shutil.rmtree(self.folder)

    def build(self, command: Sequence[str], arguments: Mapping[str, str] | None = None) -> None:
        """Run `buildah build ...` with build arguments and this machine's index, without a pull."""
        given = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        offline = ["--pull-never", "--network", "host", *self._package_index(), *given]
        self.call([*command[:2], *offline, *command[2:]])

    def container(self, image: str) -> str:
        """ID of a new container of an image."""
        return self.call(["buildah", "from", "--pull-never", image])

    def config(self, container: str) -> Any:
        """Configuration of a container's image: `User`, `Env`, `Cmd`, `WorkingDir`, ..."""
        return json.loads(self.call(["buildah", "inspect", container]))["OCIv1"]["config"]

    def call(self, command: Sequence[str]) -> str:
        """Output of a command; fails with its last lines unless it exits with 0."""
        result = subprocess.run(
            command, env=self.variables, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}: {result.stdout[-3000:]}{result.stderr[-3000:]}"
        return result.stdout.strip()

    def _package_index(self) -> list[str]:
        """Options that give pip and uv inside the build this machine's index and certificates."""
        command = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        settings = dict(re.findall(r"^[^.]+\.\.?(\S+?)='(.*)'$", listed, re.MULTILINE))
        # Other settings name files that the image does not have, such as constraints.
        lines = [f"{name} = {settings[name]}" for name in _INDEX_SETTINGS if name in settings]
        pip, uv = self.folder / "pip.conf", self.folder / "uv.toml"
        pip.write_text("[global]\n" + "\n".join(lines) + "\n")
        index = f'index-url = "{settings["index-url"]}"\n' if "index-url" in settings else ""
        uv.write_text(f"native-tls = true\n{index}")
        mounts = [f"{pip}:/etc/pip.conf:ro", f"{uv}:/etc/uv/uv.toml:ro"]
        if "cert" in settings:
            mounts.append(f"{settings['cert']}:/etc/ssl/certs/ca-certificates.crt:ro")
        return [word for mount in mounts for word in ("--volume", mount)]


def debootstrap(folder: Path) -> None:
    """Install a minimal Debian bookworm with Python into a folder (about 300 MB)."""
    subprocess.run(["debootstrap", *_DEBIAN, "bookworm", str(folder)], check=True)


def _base_images() -> set[str]:
    """Names of the base images of the Dockerfiles."""
    files = (ROOT / "docker").glob("*.Dockerfile")
    return {
        name
        for path in files
        for name in re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)
    }
