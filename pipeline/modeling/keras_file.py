"""Saves Keras models as files with reproducible bytes, and predicts with them."""

import json
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.decoding import Pixels

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SHARED = re.compile(r'("shared_object_id": )(\d+)')
Floats = NDArray[np.float32]


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


def predict(model: keras.Model, crops: Pixels, batch_size: int = 16) -> tuple[Floats, Floats]:
    """Probabilities (n, classes) and embeddings (n, embedding_size) of crops, by Keras."""
    outputs = model.predict(crops, batch_size=batch_size, verbose=0)
    return outputs["probabilities"], outputs["embedding"]
