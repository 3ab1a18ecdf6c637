"""The serving engine: an exported bundle answered by OpenVINO, without TensorFlow."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import Parity, Precision
from pipeline.contract.decoding import Pixels
from pipeline.engine.compiled import compile_graph, read_for_one

MODEL_XML = "model.xml"
CROWD = 2
"""Requests that share the cores when several ask: cores that wait for each other at the end of
every layer answer fewer (docs/decisions/0012-cores-in-a-crowd.md)."""
Floats = NDArray[np.float32]


class Engine:
    """A compiled model; safe to call from several threads."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        """Compile `folder/model.xml`; an int8 model carries its own precision."""
        graph = read_for_one(folder / MODEL_XML)
        self._alone = _Requests(compile_graph(graph, precision, 1))
        self._crowd = _Requests(compile_graph(graph, precision, CROWD))

    @classmethod
    def of(cls, folder: Path, parity: Parity) -> "Engine":
        """The engine at the precision that passed the parity check."""
        return cls(folder, parity.precision)

    def predict(self, crops: Pixels, *, crowd: bool = False) -> tuple[Floats, Floats]:
        """Answer crops, one after the other.

        Args:
            crops: (n, size, size, 3) uint8 as `prepare` cuts them.
            crowd: whether others ask meanwhile, who then get a share of the cores; alone, all of
                them answer sooner.

        Returns:
            Probabilities (n, classes) and embeddings (n, embedding_size).
        """
        requests = self._crowd if crowd else self._alone
        told = [requests.infer(crops[place : place + 1]) for place in range(len(crops))]
        probabilities, embeddings = zip(*told, strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)


class _Requests:
    """Requests of a compiled model that wait to be used again: their memory is dear to make."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: deque[Any] = deque()

    def infer(self, crop: Pixels) -> tuple[Floats, Floats]:
        try:
            request = self._idle.pop()
        except IndexError:  # nobody else's call may come between a look and the taking
            request = self._compiled.create_infer_request()
        result = request.infer({0: crop})
        answer = np.array(result["probabilities"]), np.array(result["embedding"])
        self._idle.append(request)
        return answer
