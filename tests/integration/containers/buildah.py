"""Images built by buildah on a stand-in base, because no registry can be reached from a test.

A plain Debian bookworm (Python 3.11, as in the base image) has the base image's name.
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
"""Whether images cannot be built here."""
_DEBIAN = ["--variant=minbase", "--include=python3,python3-venv,python3-pip,ca-certificates"]
_REACHES = ("index-url", "extra-index-url", "trusted-host", "cert", "timeout", "default-timeout")
"""Settings of pip that say how a package index is reached."""
_FOREIGN = re.compile(r"^(AWS_|PIP_|PYTHON|STORE_URI|BENTOML_|LEUKOFLOW_)")


@dataclass(frozen=True)
class Buildah:
    """A builder that keeps everything in one folder."""

    folder: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its commands."""
        own = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
        storage = str(self.folder / "storage.conf")
        return own | {"CONTAINERS_STORAGE_CONF": storage, "BUILDAH_ISOLATION": "chroot"}

    def prepare(self) -> None:
        """Make the base images that the Dockerfiles name."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\n'
            f'graphroot = "{self.folder}/root"\nrunroot = "{self.folder}/run"\n'
        )
        tree = self.folder / "debian"
        self.call(["debootstrap", *_DEBIAN, "bookworm", str(tree)])
        scratch = self.call(["buildah", "from", "scratch"])
        self.call(["buildah", "copy", "--quiet", scratch, str(tree), "/"])
        for name in _bases():
            self.call(["buildah", "commit", "--quiet", scratch, f"docker.io/library/{name}"])
        self.call(["buildah", "rm", scratch])
        shutil.rmtree(tree)

    def remove(self) -> None:
        """Unmount and delete every container and image: gigabytes that nobody needs later."""
        self.call(["buildah", "rm", "--all"])
        self.call(["buildah", "rmi", "--all", "--force"])
        shutil.rmtree(self.folder)

    def build(self, command: Sequence[str], arguments: Mapping[str, str] | None = None) -> None:
        """Run `buildah build ...` with build arguments, without a pull, through pip's index."""
        given = [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        offline = ["--pull-never", "--network", "host", *self._package_index(), *given]
        self.call([*command[:2], *offline, *command[2:]])

    def container(self, image: str) -> str:
        """A container of an image."""
        return self.call(["buildah", "from", "--pull-never", image])

    def config(self, container: str) -> Any:
        """What a container's image says about itself: `User`, `Env`, `Cmd`, `WorkingDir`, ..."""
        return json.loads(self.call(["buildah", "inspect", container]))["OCIv1"]["config"]

    def call(self, command: Sequence[str]) -> str:
        """What a command prints; it must succeed."""
        done = subprocess.run(
            command, env=self.variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def _package_index(self) -> list[str]:
        """Options that let pip inside the build use this machine's index and certificates."""
        command = [sys.executable, "-m", "pip", "config", "list"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        settings = dict(re.findall(r"^[^.]+\.\.?(\S+?)='(.*)'$", listed, re.MULTILINE))
        # Others name files of this machine, such as constraints, which the image does not have.
        lines = [f"{name} = {settings[name]}" for name in _REACHES if name in settings]
        config = self.folder / "pip.conf"
        config.write_text("[global]\n" + "\n".join(lines) + "\n")
        mounts = [f"{config}:/etc/pip.conf:ro"]
        if "cert" in settings:
            mounts.append(f"{settings['cert']}:{settings['cert']}:ro")
        return [word for mount in mounts for word in ("--volume", mount)]


def _bases() -> set[str]:
    """What the Dockerfiles build on."""
    files = (ROOT / "docker").glob("*.Dockerfile")
    return {
        name
        for path in files
        for name in re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)
    }
