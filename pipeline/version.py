"""Which version of the code runs: what every artefact names as its `code_version`.

Standard library alone, so that `make cluster` can ask before anything else is read.
"""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VARIABLE = "CODE_VERSION"
"""Set in the images when they are built, because they have neither git nor a repository."""
ARCHIVED = ".git_archival.txt"
"""`git archive` writes the commit into it (.gitattributes), so an unpacked tarball knows it."""
_PACKAGE = "leukoflow"


def code_version(root: Path = ROOT) -> str:
    """The commit where one is known, else the package's version; `0.1.0+unknown` from a bare copy.

    Args:
        root: the checkout, the unpacked tarball, or the folder that the package is installed in.
    """
    known = os.environ.get(VARIABLE) or _archived(root) or _committed(root)
    return known or _declared(root) or _installed()


def _archived(root: Path) -> str:
    """The commit that `git archive` wrote down; in a checkout the placeholder still stands."""
    path = root / ARCHIVED
    text = path.read_text().strip() if path.is_file() else ""
    return "" if text.startswith("$") else text


def _committed(root: Path) -> str:
    """The commit of this very checkout: a repository around an installed package is not ours."""
    if not (root / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git on PATH, or one that cannot be run
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _declared(root: Path) -> str:
    """The version in a copy of the sources, of which nobody knows which commit they are."""
    path = root / "pyproject.toml"
    if not path.is_file():
        return ""
    return f"{tomllib.loads(path.read_text())['project']['version']}+unknown"


def _installed() -> str:
    """The version of the installed package."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        return "unknown"


if __name__ == "__main__":
    sys.stdout.write(code_version() + "\n")
