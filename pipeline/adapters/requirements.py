"""Requirements of an image, exported from `uv.lock`."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from pipeline.errors import InvalidInputError

ROOT = Path(__file__).resolve().parents[2]
"""Folder of `pyproject.toml` and `uv.lock`: the checkout, or its copy in an image."""
_EXPORT = ("export", "--frozen", "--offline", "--no-cache", "--quiet", "--no-header")


def export_requirements(extras: Sequence[str], root: Path = ROOT) -> str:
    """Text of a requirements file, pinned and hashed, for base and extras; needs no network.

    For `pip install --no-deps --require-hashes`: the lock already resolved everything.

    Args:
        extras: names in `[project.optional-dependencies]` of `pyproject.toml`.
        root: folder of `pyproject.toml` and `uv.lock`.

    Raises:
        InvalidInputError: when uv fails, for example for an extra that does not exist.
    """
    options = [word for extra in extras for word in ("--extra", extra)]
    command = [find_uv_bin(), *_EXPORT, "--no-emit-project", "--project", str(root), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise InvalidInputError(
            f"uv cannot export the requirements of {', '.join(extras)}",
            expected=f"extras of {root / 'pyproject.toml'}, locked in uv.lock",
            received=result.stderr.strip(),
        )
    return result.stdout
