"""Keras models on disk: the same model gives the same bytes."""

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
    """Save as `.keras` without the dates and memory addresses that Keras and zip put in."""
    raw = path.with_suffix(".raw.keras")
    model.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                kept = {k: v for k, v in json.loads(data).items() if k != "date_saved"}
                data = json.dumps(kept, sort_keys=True).encode()
            if name == "config.json":
                data = _numbered(data.decode()).encode()
            target.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    raw.unlink()


def _numbered(config: str) -> str:
    """Shared objects by order of appearance; Keras names them by their place in memory."""
    numbers: dict[str, int] = {}
    return _SHARED.sub(
        lambda found: f"{found[1]}{numbers.setdefault(found[2], len(numbers) + 1)}", config
    )


def predict(model: keras.Model, crops: Pixels, batch_size: int = 16) -> tuple[Floats, Floats]:
    """Keras's own answer: probabilities (n, classes) and embeddings (n, embedding_size)."""
    answer = model.predict(crops, batch_size=batch_size, verbose=0)
    return answer["probabilities"], answer["embedding"]
