"""SHA-256 of bytes, files and folders, and JSON with one spelling for each value."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ChangedArtifactError


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, as hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, read in blocks, as hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise ChangedArtifactError unless `folder` has all `files` (path to SHA-256), unchanged."""
    for name, expected in files.items():
        path = folder / name
        received = sha256_file(path) if path.is_file() else "no file"
        if received != expected:
            raise ChangedArtifactError(
                f"{path} does not match its manifest", expected=expected, received=received
            )


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, so that equal values give equal text; other types become strings."""
    return json.dumps(value, sort_keys=True, indent=2, default=str) + "\n"
