"""Saves a Keras model as a file: equal models give equal bytes."""

import json
import re
import zipfile
from pathlib import Path

import keras

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SHARED = re.compile(r'("shared_object_id": )(\d+)')


def save_reproducibly(model: keras.Model, path: Path) -> None:
    """Write a `.keras` file without dates and memory addresses: equal models give equal bytes."""
    raw = path.with_suffix(".raw.keras")
    model.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                metadata = {k: v for k, v in json.loads(data).items() if k != "date_saved"}
                data = json.dumps(metadata, sort_keys=True).encode()
            if name == "config.json":
                data = _numbered(data.decode()).encode()
            target.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    raw.unlink()


def _numbered(config: str) -> str:
    """The config with shared objects numbered by first occurrence, not by memory address."""
    numbers: dict[str, int] = {}
    return _SHARED.sub(
        lambda match: f"{match[1]}{numbers.setdefault(match[2], len(numbers) + 1)}", config
    )
