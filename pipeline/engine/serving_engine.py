"""The serving engine: an exported bundle run by OpenVINO, without TensorFlow."""

from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import Precision
from pipeline.contract.decoding import Pixels
from pipeline.engine.openvino_graph import compile_graph, read_single_image_graph

MODEL_XML = "model.xml"
CONCURRENT_REQUESTS = 2
"""Streams among which the cores are divided under load. Cores that share one image wait for each
other after every layer, which costs throughput (docs/decisions/0012-cores-under-load.md)."""
Floats = NDArray[np.float32]


class Engine:
    """A model compiled for latency and for throughput; safe to call from several threads."""

    def __init__(self, folder: Path, precision: Precision) -> None:
        """Compile `folder/model.xml` twice; an int8 model carries its own precision."""
        graph = read_single_image_graph(folder / MODEL_XML)
        self._latency = _RequestPool(compile_graph(graph, precision, 1))
        self._throughput = _RequestPool(compile_graph(graph, precision, CONCURRENT_REQUESTS))

    def predict(self, crops: Pixels, *, concurrent: bool = False) -> tuple[Floats, Floats]:
        """Probabilities and embeddings of crops; `concurrent`: other requests run at the same time.

        Crops (n, size, size, 3) uint8 from `prepare` run one by one: on all cores, for latency, or,
        if concurrent, on a share, for throughput. Returns (n, classes) and (n, embedding_size).
        """
        requests = self._throughput if concurrent else self._latency
        outputs = [requests.infer(crops[index : index + 1]) for index in range(len(crops))]
        probabilities, embeddings = zip(*outputs, strict=True)
        return np.concatenate(probabilities), np.concatenate(embeddings)

    def probabilities(self, crop: Pixels, *, concurrent: bool = False) -> Floats:
        """Probabilities (classes,) of one crop (size, size, 3); see `predict`."""
        return np.asarray(self.predict(crop[None], concurrent=concurrent)[0][0], np.float32)


class _RequestPool:
    """Pool of a compiled model's infer requests: allocating their memory is expensive."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: deque[Any] = deque()

    def infer(self, crop: Pixels) -> tuple[Floats, Floats]:
        """Probabilities and embedding of a crop (1, size, size, 3); safe for threads."""
        try:
            request = self._idle.pop()
        except IndexError:  # not `if self._idle`: another thread may empty it in between
            request = self._compiled.create_infer_request()
        result = request.infer({0: crop})
        outputs = np.array(result["probabilities"]), np.array(result["embedding"])
        self._idle.append(request)
        return outputs
