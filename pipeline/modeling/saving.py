"""Keras models on disk: the same model gives the same bytes."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from pipeline.contract.preprocessing import Pixels

_EPOCH = (1980, 1, 1, 0, 0, 0)
Floats = NDArray[np.float32]


def save_reproducibly(model: keras.Model, path: Path) -> None:
    """Save as `.keras` without the dates that Keras and zip put in."""
    raw = path.with_suffix(".raw.keras")
    model.save(raw)
    with zipfile.ZipFile(raw) as source, zipfile.ZipFile(path, "w") as target:
        for name in sorted(source.namelist()):
            data = source.read(name)
            if name == "metadata.json":
                kept = {k: v for k, v in json.loads(data).items() if k != "date_saved"}
                data = json.dumps(kept, sort_keys=True).encode()
            target.writestr(zipfile.ZipInfo(name, _EPOCH), data)
    raw.unlink()


def predict(model: keras.Model, crops: Pixels, batch_size: int = 16) -> tuple[Floats, Floats]:
    """Keras's own answer: probabilities (n, classes) and embeddings (n, embedding_size)."""
    answer = model.predict(crops, batch_size=batch_size, verbose=0)
    return answer["probabilities"], answer["embedding"]
