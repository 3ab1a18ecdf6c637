"""Version of the running code, which every artefact records as `code_version`.

Imports the standard library alone, so that `make cluster` can run it without dependencies.
"""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "CODE_VERSION"
"""Set when an image is built, because images have neither git nor a repository."""
ARCHIVED = ".git_archival.txt"
"""File into which `git archive` writes the commit (.gitattributes), for unpacked tarballs."""
_PACKAGE = "leukoflow"


def code_version(root: Path = ROOT) -> str:
    """CODE_VERSION, else the commit, else the package's version (a plain copy: `0.1.0+unknown`).

    Args:
        root: the checkout, the unpacked tarball, or the folder of the installed package.
    """
    known = os.environ.get(VARIABLE) or _archived(root) or _committed(root)
    return known or _declared(root) or _installed()


def _archived(root: Path) -> str:
    """The commit that `git archive` wrote into a tarball; empty in a git checkout."""
    path = root / ARCHIVED
    text = path.read_text().strip() if path.is_file() else ""
    return "" if text.startswith("$") else text


def _committed(root: Path) -> str:
    """The commit checked out at `root`; empty if git fails or `root` is no repository itself."""
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # no executable git on PATH
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _declared(root: Path) -> str:
    """`<version>+unknown` from the sources' `pyproject.toml`; empty if there is none."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return ""
    return f"{tomllib.loads(path.read_text())['project']['version']}+unknown"


def _installed() -> str:
    """The version of the installed package, or `unknown`."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.stdout.write(code_version() + "\n")
